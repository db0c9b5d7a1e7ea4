// Package hdfstest writes files to an HDFS cluster that is being broken, and
// reads them back:
//
//	files := hdfstest.New(client)
//	defer files.Close()
//	err := files.Write(ctx, 7, hdfstest.Content(7, 100_000))
//
// It uses a Go client of HDFS, github.com/colinmarc/hdfs, which hides less than
// Java's: a connection that is lost is the caller's, a name node that failed is
// not called for five seconds, a data node that died fails the file. So each file
// is written whole, under another name each time, until it is acknowledged, and
// each error makes a new client. The errors are counted.
package hdfstest

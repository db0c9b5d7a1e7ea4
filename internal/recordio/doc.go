// Package recordio reads and writes the framing of Mesos's streaming HTTP
// APIs: each record is its length in bytes as a decimal number, a newline, and
// then exactly that many bytes.
//
//	5\nhello0\n3\nyes
//
// holds the three records "hello", "" and "yes". The framing is the one that
// https://mesos.apache.org/documentation/latest/scheduler-http-api/#recordio-response-format
// describes. Nothing is escaped and nothing separates records, so a reader
// that has lost its place cannot find it again: after an error a [Reader] is
// finished and its connection should be closed.
//
// A record may be of any size up to the limit that the reader was given. Ten
// thousand offers make an event of several megabytes, which is why the limit is
// the caller's to choose.
package recordio

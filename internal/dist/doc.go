// Package dist obtains the real servers that tests and examples run.
//
// A [Distribution] that runs in a Java machine, or that somebody has published
// with Maven, is described by a Maven pom that is kept beside this file. The
// pom's name and version are the distribution's; its runtime dependencies are the
// server, its default goal puts them in place. [Kafka] brings it through mvn from
// Maven Central once and keeps it under the user's cache directory:
//
//	mesokit/kafka-4.3.1/lib/*.jar        the server
//	mesokit/kafka-4.3.1/manifest         which pom, which files, how long each is
//	mesokit/kafka-4.3.1/classes-*.jsa    the JVM's class archive, one per Java
//	mesokit/kafka-4.3.1.lock             held by whoever changes any of it
//
// [MariaDB] comes in Debian packages, which are unpacked in the same place and
// not installed. Another kind of source is an implementation of source.
//
// A distribution is put together in a folder of another name and renamed when
// it is whole, so one whose download was cut is never taken for complete. From
// then on nothing is downloaded and mvn is not started, so it works offline.
//
// The class archive holds the server's classes as the JVM laid them out in
// memory, and halves what a start costs. It is made once by starting the server
// and stopping it, and it is a convenience: where it cannot be made, the
// progress says so and ClassArchive is empty.
//
// Tests get a distribution from package disttest, which decides what happens
// on a machine where none can be had.
package dist

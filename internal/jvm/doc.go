// Package jvm knows the java command: how a server's Java machine is told its
// arguments, which of them are not for users to give, and where its classes lie.
//
// Of a distribution a user names the directory; [Classpath] makes the value of
// -cp of it. Whether it is there can be seen only on the machine that runs the
// server: [CheckClasspath] looks, and says what a Java machine would hide in a
// ClassNotFoundException.
package jvm

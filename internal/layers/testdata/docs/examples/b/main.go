// Command b does something.
package main

// Package layers checks the rules of this tree that the compiler does not know.
// Each check returns the places that break its rule, as [Breach] values; the
// tests run all of them over the repository, and each over a small bad example
// in testdata, so that a check which has gone blind fails too.
//
//   - [Imports]: imports point down through the layers, never up or sideways.
//   - [Purity]: what must be deterministic touches no clock, network, file,
//     lock, randomness, log or goroutine.
//   - [TopLevel]: nothing joins the fixed list at the top of the tree.
//   - [Docs]: a package explains itself in doc.go, a command in its comment.
//   - [Sleeps]: a test waits for conditions, not for time.
//   - [Readme]: the README's programs compile for somebody who has only the module.
//
// What a rule allows stands in a table beside it. A new package that needs a row
// is a decision about the design: change the table in the commit that adds it.
package layers

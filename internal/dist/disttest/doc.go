// Package disttest gives tests the real servers of package dist, and decides
// what happens where none can be had: in CI the test fails; elsewhere it is
// skipped, and says so again at the end of make test.
package disttest

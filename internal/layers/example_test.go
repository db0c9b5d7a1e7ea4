package layers_test

import (
	"fmt"

	"github.com/mesokit/mesokit/internal/layers"
)

func Example() {
	tree, err := layers.Parse("testdata/sleeps")
	if err != nil {
		fmt.Println(err)
	}
	for _, breach := range layers.Sleeps(tree) {
		fmt.Println(breach)
	}
	// Output: offers/a_test.go:9: tests must not use time.Sleep: wait for a condition, or use testing/synctest
}

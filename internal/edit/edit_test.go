package edit_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mesokit/mesokit/internal/edit"
)

func Example() {
	fmt.Println(edit.Distance("UNIQE", "UNIQUE"), edit.Distance("GROUPBY", "GROUP_BY"), edit.Distance("LIKE", "LIKE"))
	// Output: 1 1 0
}

func FuzzDistance(f *testing.F) {
	f.Add("", "")
	f.Add("kitten", "sitting")
	f.Add("ab", "ba")
	f.Fuzz(func(t *testing.T, a, b string) {
		d := edit.Distance(a, b)
		assert.Equal(t, d, edit.Distance(b, a), "both ways")
		assert.Equal(t, a == b, d == 0)
		assert.LessOrEqual(t, d, max(len(a), len(b)))
		assert.GreaterOrEqual(t, d, max(len(a), len(b))-min(len(a), len(b)))
		assert.Equal(t, d, edit.Distance(a+"x", b+"x"), "a common end changes nothing")
	})
}

func TestDistance(t *testing.T) {
	t.Parallel()
	assert.Equal(t, 3, edit.Distance("kitten", "sitting"))
	assert.Equal(t, 4, edit.Distance("", "mem:"))
	assert.Equal(t, 2, edit.Distance("ab", "ba"))
}

package proc

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCode(t *testing.T) {
	t.Parallel()
	start, length, ok := code([]byte("00401000-00a3f000 r-xp 00001000 08:01 42  /opt/mesos-x\n"), "/opt/mesos-x")
	assert.True(t, ok)
	assert.Equal(t, uintptr(0x401000), start)
	assert.Equal(t, uintptr(0xa3f000-0x401000), length)
	for _, line := range []string{
		"", "00401000-00a3f000 r-xp 00001000 08:01 42\n", // no file
		"00401000-00a3f000 rw-p 00001000 08:01 42 /opt/mesos-x\n", "00401000-00a3f000 r--p 00001000 08:01 42 /opt/mesos-x\n",
		"00401000-00a3f000 r-xp 00001000 08:01 42 /lib/libc.so\n", "x-00a3f000 r-xp 00001000 08:01 42 /opt/mesos-x\n",
		"00401000 r-xp 00001000 08:01 42 /opt/mesos-x\n", "00a3f000-00401000 r-xp 00001000 08:01 42 /opt/mesos-x\n",
	} {
		_, _, ok := code([]byte(line), "/opt/mesos-x")
		assert.False(t, ok, line)
	}
}

// What was given back comes again when it is called.
func TestTrim(t *testing.T) {
	t.Parallel()
	Trim()
	all, err := All()
	assert.NoError(t, err)
	assert.NotEmpty(t, all)
}

package mysql

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
)

func TestDonors(t *testing.T) {
	t.Parallel()
	d := threeMembers()
	list, founded := donors(d, d.Nodes[2])
	assert.False(t, founded, "nobody has been a member yet")
	assert.Len(t, list, 1)

	for i := range d.Nodes {
		n := &d.Nodes[i]
		n.Arrived, n.Generation = 1, 1
		n.Place = &frameworks.Place{Address: "10.0.0.1", Ports: map[string]uint64{port: uint64(3306 + i), copiesPort: 4000}}
	}
	d.Nodes[1].Role, d.Nodes[2].Role = replicaRole, replicaRole
	newcomer := frameworks.Node{Name: "member-3", Pod: pod}
	list, founded = donors(d, newcomer)
	assert.True(t, founded)
	text := writeDonors(list)
	assert.Equal(t, "replica member-1 10.0.0.1:3307 10.0.0.1:4000; replica member-2 10.0.0.1:3308 10.0.0.1:4000; primary member-0 10.0.0.1:3306 10.0.0.1:4000", text)
	read, err := readDonors(text)
	require.NoError(t, err)
	assert.Equal(t, list, read)

	d.Nodes[1].Ready, d.Nodes[2].Replace = false, true
	list, _ = donors(d, newcomer)
	assert.Equal(t, []donor{{"member-0", "10.0.0.1:3306", "10.0.0.1:4000", true}}, list)
	_, err = readDonors("replica member-1")
	assert.EqualError(t, err, `donor "replica member-1": wants a role, a name, and one or two addresses`)
}

// A set that has members, of which none can be copied, makes no empty one.
func TestNobodyToCopy(t *testing.T) {
	t.Parallel()
	m := maker{env: map[string]string{envFounded: "true"}}
	err := m.provision(t.Context(), filepath.Join(t.TempDir(), "new"))
	assert.ErrorContains(t, err, "there is neither a primary nor a replica in good order")
}

// handing is a member that hands out copies made by a script, and one that
// wants them.
func handing(t *testing.T, script, itsSecret, mySecret string) (maker, donor) {
	sandbox := func(password string, env ...string) executor.Sandbox {
		s := executor.Sandbox{Dir: t.TempDir(), Env: append(env, "PATH="+os.Getenv("PATH")), Log: io.Discard}
		require.NoError(t, os.MkdirAll(filepath.Join(s.Dir, secretsDir), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(s.Dir, secretsDir, operatorSecret), []byte(password), 0o600))
		return s
	}
	base := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(base, "bin"), 0o755))
	for name, text := range map[string]string{"mariadb-backup": script, "mbstream": `cat >"$3/copy"`} {
		require.NoError(t, os.WriteFile(filepath.Join(base, "bin", name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	host, number, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	require.NoError(t, offerCopies(t.Context(), sandbox(itsSecret, "HOST="+host, "PORT_COPIES="+number, envBase+"="+base)))
	s := sandbox(mySecret, envBase+"="+base)
	return maker{Sandbox: s, flavor: maria{}, env: environment(s)}, donor{name: "member-1", copies: net.JoinHostPort(host, number)}
}

func TestCopyIsHandedOut(t *testing.T) {
	t.Parallel()
	m, from := handing(t, "echo all of it", "secret", "secret")
	dir := t.TempDir()
	require.NoError(t, fetchCopy(t.Context(), m, from, dir))
	text, err := os.ReadFile(filepath.Join(dir, "copy"))
	require.NoError(t, err)
	assert.Equal(t, "all of it\n", string(text))
	whole, err := maria{}.tellsAll(t.Context(), m, from)
	require.NoError(t, err)
	assert.False(t, whole, "it has no binary log")
}

func TestCopyIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, script, mySecret, want string }{
		{"to a stranger", "echo all of it", "another", "does not know the secret"},
		{"when it fails", "echo no space >&2; exit 1", "secret", "500 Internal Server Error: mariadb-backup: exit status 1: no space"},
		{"when it is cut", "echo half of it; sleep 0.1; exit 1", "secret", "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, from := handing(t, test.script, "secret", test.mySecret)
			assert.ErrorContains(t, fetchCopy(t.Context(), m, from, t.TempDir()), test.want)
		})
	}
}

package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// volume is a persistent volume reserved to a role.
func volume(role, id, at string) mesos.Resource {
	return mesos.Resource{
		Name:         "disk",
		Reservations: []mesos.Resource_ReservationInfo{{Role: new("above")}, {Role: &role}},
		Disk: &mesos.Resource_DiskInfo{
			Persistence: &mesos.Resource_DiskInfo_Persistence{ID: id},
			Volume:      &mesos.Volume{ContainerPath: at},
		},
	}
}

func onDisk(r mesos.Resource, kind mesos.Resource_DiskInfo_Source_Type, root string) mesos.Resource {
	r.Disk.Source = &mesos.Resource_DiskInfo_Source{Type: kind}
	switch kind {
	case mesos.Resource_DiskInfo_Source_PATH:
		r.Disk.Source.Path = &mesos.Resource_DiskInfo_Source_Path{Root: &root}
	case mesos.Resource_DiskInfo_Source_MOUNT:
		r.Disk.Source.Mount = &mesos.Resource_DiskInfo_Source_Mount{Root: &root}
	}
	return r
}

func TestVolumePath(t *testing.T) {
	t.Parallel()
	legacy := volume("", "v", "data")
	legacy.Reservations, legacy.Role = nil, new("db")
	plain := volume("", "v", "data")
	plain.Reservations = nil
	for _, tt := range []struct {
		name     string
		resource mesos.Resource
		want     string
		err      string
	}{
		{name: "of the work directory", resource: volume("db", "v", "data"), want: "/w/volumes/roles/db/v"},
		{name: "of a role below another", resource: volume("eng/db", "v", "data"), want: "/w/volumes/roles/eng db/v"},
		{name: "before reservation refinement", resource: legacy, want: "/w/volumes/roles/db/v"},
		{name: "PATH disk", resource: onDisk(volume("db", "v", "data"), mesos.Resource_DiskInfo_Source_PATH, "/d"), want: "/d/volumes/roles/db/v"},
		{name: "PATH disk in the work directory", resource: onDisk(volume("db", "v", "data"), mesos.Resource_DiskInfo_Source_PATH, "d"), want: "/w/d/volumes/roles/db/v"},
		{name: "MOUNT disk", resource: onDisk(volume("db", "v", "data"), mesos.Resource_DiskInfo_Source_MOUNT, "/m"), want: "/m"},
		{name: "BLOCK disk", resource: onDisk(volume("db", "v", "data"), mesos.Resource_DiskInfo_Source_BLOCK, ""), err: "volume v lies on a BLOCK disk: only PATH and MOUNT disks hold volumes"},
		{name: "no persistence", resource: mesos.Resource{Name: "disk"}, err: `persistence ID "" of resource disk: ID must not be empty`},
		{name: "ID leads out", resource: volume("db", "../v", "data"), err: "'../v' contains invalid characters"},
		{name: "role leads out", resource: volume("..", "v", "data"), err: `role ".." of volume v: '..' is disallowed`},
		{name: "not reserved", resource: plain, err: "volume v is not reserved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := WorkDir("/w").VolumePath(tt.resource)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

// TestVolumeOutlivesTaskAsRecorded is the scenario
// reserve_create_launch_destroy_unreserve, as far as the agent goes.
func TestVolumeOutlivesTaskAsRecorded(t *testing.T) {
	t.Parallel()
	w, v := WorkDir(t.TempDir()), volume("db", "vol-1", "data")
	run := func(id, command string) Status {
		c := start(t, Config{WorkDir: w, Run: testRun(id), Command: shell(command), Resources: []mesos.Resource{{Name: "cpus"}, v, v}})
		return wait(t, c)
	}
	_, err := Start(t.Context(), Config{WorkDir: w, Run: testRun("c0"), Command: shell("true"), Resources: []mesos.Resource{v}})
	require.ErrorContains(t, err, "placing volume vol-1", "it was not created yet")

	require.NoError(t, w.CreateVolume(v))
	assert.True(t, run("c1", "echo kept > data/file; cat data/file").Success())
	require.NoError(t, w.CreateVolume(v), "creating it again keeps it")
	assert.True(t, run("c2", "grep -q kept data/file").Success())

	path, err := w.VolumePath(v)
	require.NoError(t, err)
	require.NoError(t, w.DestroyVolume(v))
	assert.NoDirExists(t, path)
	require.NoError(t, w.DestroyVolume(v), "it is gone already")
}

func TestVolumeAtNestedPath(t *testing.T) {
	t.Parallel()
	cfg := config(t, shell("echo x > var/lib/data/file"))
	cfg.Resources = []mesos.Resource{volume("db", "v", "var/lib/data")}
	require.NoError(t, cfg.WorkDir.CreateVolume(cfg.Resources[0]))
	require.True(t, wait(t, start(t, cfg)).Success())
	path, err := cfg.WorkDir.VolumePath(cfg.Resources[0])
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(path, "file"))
}

func TestVolumeCannotBePlacedOutside(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"/data", "../data", "a/../../data", ""} {
		cfg := config(t, shell("true"))
		cfg.Resources = []mesos.Resource{volume("db", "v", at)}
		require.NoError(t, cfg.WorkDir.CreateVolume(cfg.Resources[0]))
		_, err := Start(t.Context(), cfg)
		require.ErrorContains(t, err, "want a relative path inside the sandbox", "at %q", at)
	}
}

func TestDestroyKeepsTheRootOfAMount(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	v := onDisk(volume("db", "v", "data"), mesos.Resource_DiskInfo_Source_MOUNT, mount)
	w := WorkDir(t.TempDir())
	require.NoError(t, w.CreateVolume(v))
	require.NoError(t, os.MkdirAll(filepath.Join(mount, "a", "b"), 0o755))
	require.NoError(t, w.DestroyVolume(v))
	entries, err := os.ReadDir(mount)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

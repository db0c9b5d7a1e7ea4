package statecmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/scheduler/state"
	"github.com/mesokit/mesokit/scheduler/state/zookeeper"
)

// Config says what the commands have to know of a framework.
type Config struct {
	// State is the default of --state. Empty: the flag has to be given.
	State string

	// Secret says whether the value of a key is a secret. Nil: the values of
	// keys that have "secret" as a part between slashes, as the engine of
	// package frameworks names its secrets, and of "identity", where package
	// scheduler keeps the seed that they were made from.
	Secret func(key string) bool
}

// Command returns the command "state" with its subcommands export and import.
func Command(c Config) *cobra.Command {
	if c.Secret == nil {
		c.Secret = named
	}
	command := &cobra.Command{
		Use:   "state",
		Short: "Export and import what a scheduler remembers",
		Args:  cobra.NoArgs,
	}
	command.AddCommand(exportCommand(c), importCommand(c))
	return command
}

func named(key string) bool {
	return key == "identity" || slices.Contains(strings.Split(key, "/"), "secret")
}

func exportCommand(c Config) *cobra.Command {
	var from, secrets string
	command := &cobra.Command{
		Use:   "export",
		Short: "Write the state as JSON, one record on each line; the scheduler may run meanwhile",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			records, err := read(command.Context(), from)
			if err != nil {
				return err
			}
			if secrets != "" {
				if err := exportSecrets(secrets, records, c.Secret); err != nil {
					return err
				}
			}
			return state.Export(command.OutOrStdout(), records, c.Secret)
		},
	}
	addState(command, &from, c.State)
	command.Flags().StringVar(&secrets, "secrets", "", "new file for the secrets, which are else named without their values")
	return command
}

// exportSecrets writes the records that are secret, with their values.
func exportSecrets(path string, records []state.Record, secret func(string) bool) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("--secrets: %w", err)
	}
	apart := slices.DeleteFunc(slices.Clone(records), func(r state.Record) bool { return !secret(r.Key) })
	if err := errors.Join(state.Export(f, apart, nil), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("--secrets: %w", err)
	}
	return nil
}

func importCommand(c Config) *cobra.Command {
	var to, secrets string
	var replace bool
	command := &cobra.Command{
		Use:   "import FILE",
		Short: `Read a state that was exported ("-": from standard input); the scheduler must not run`,
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			records, err := gather(command.InOrStdin(), args[0], secrets)
			if err != nil {
				return err
			}
			if err := write(command.Context(), to, records, replace); err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "imported %d records\n", len(records))
			return err
		},
	}
	addState(command, &to, c.State)
	command.Flags().StringVar(&secrets, "secrets", "", "file with the secrets that the export names")
	command.Flags().BoolVar(&replace, "replace", false, "replace a state that is there")
	return command
}

func addState(command *cobra.Command, where *string, value string) {
	command.Flags().StringVar(where, "state", value, `the state: a directory, or "zk://[user:password@]host:port,…/path"`)
	if value == "" {
		if err := command.MarkFlagRequired("state"); err != nil {
			panic(err) // the flag was made a line above
		}
	}
}

// gather reads an export and the file with its secrets.
func gather(stdin io.Reader, path, secrets string) ([]state.Record, error) {
	records, missing, err := importFile(stdin, path)
	if err != nil {
		return nil, err
	}
	if secrets != "" {
		values, nameless, err := importFile(nil, secrets)
		if err != nil {
			return nil, fmt.Errorf("--secrets: %w", err)
		}
		missing = append(missing, nameless...)
		for _, r := range values {
			i := slices.Index(missing, r.Key)
			if i < 0 {
				return nil, fmt.Errorf("--secrets: %s has key %q, which %s does not name as a secret", secrets, r.Key, path)
			}
			missing = slices.Delete(missing, i, i+1)
			records = append(records, r)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s names secrets without their values: %q; give --secrets with the file that was exported beside it", path, missing)
	}
	return records, nil
}

func importFile(stdin io.Reader, path string) (records []state.Record, secrets []string, err error) {
	if path == "-" && stdin != nil {
		return state.Import(stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	records, secrets, err = state.Import(f)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return records, secrets, nil
}

func inZooKeeper(where string) bool { return strings.HasPrefix(where, "zk://") }

// openZooKeeper opens a path in ZooKeeper. What there is to say comes back as
// an error, or is a wait.
func openZooKeeper(url string) (*zookeeper.Store, error) {
	return zookeeper.Open(zookeeper.Config{URL: url, Logger: slog.New(slog.DiscardHandler)})
}

func read(ctx context.Context, where string) ([]state.Record, error) {
	if !inZooKeeper(where) {
		return state.ReadFile(where)
	}
	store, err := openZooKeeper(where)
	if err != nil {
		return nil, err
	}
	records, err := store.Read(ctx)
	return records, errors.Join(err, store.Close())
}

// write makes the records the whole state.
func write(ctx context.Context, where string, records []state.Record, replace bool) error {
	var store interface {
		state.Store
		io.Closer
	}
	var err error
	if inZooKeeper(where) {
		store, err = openZooKeeper(where)
	} else {
		store, err = state.OpenFile(where)
	}
	if err != nil {
		return err
	}
	return errors.Join(fill(ctx, store, records, replace), store.Close())
}

func fill(ctx context.Context, store state.Store, records []state.Record, replace bool) error {
	old, err := store.Load(ctx)
	if err != nil {
		return err
	}
	if len(old) > 0 && !replace {
		return fmt.Errorf("there is a state of %d records already: import into a new place, or say --replace", len(old))
	}
	var batch []state.Record
	for _, r := range old {
		batch = append(batch, state.Record{Key: r.Key}) // deletes it; what comes later in the batch wins
	}
	return store.Save(ctx, append(batch, records...))
}

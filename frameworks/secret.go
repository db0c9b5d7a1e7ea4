package frameworks

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"slices"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/scheduler"
)

// secret is a password or key as the store has it: made once, and known to the
// store, to jobs, and to the files of the tasks that declare it, nobody else.
type secret struct {
	Value string `json:"value"`
}

// makeSecrets adds the secrets that are declared and not made yet: 22
// characters of base64url, which are 128 bits.
func (s *Service) makeSecrets(l *ledger, v scheduler.View) {
	for _, p := range s.Pods {
		for _, name := range p.Secrets {
			if l.secrets[name] == nil {
				value := v.Random(s.Name + "/secret/" + name)
				l.secrets[name] = &secret{Value: base64.RawURLEncoding.EncodeToString(value[:])}
			}
		}
	}
}

// hello sends the executor the secrets that it waits for.
func (d *decision) hello(n *Node, m executor.Hello) {
	for _, name := range m.Secrets {
		value := d.secrets[name]
		if value == nil || !slices.Contains(d.pod(n.Pod).Secrets, name) {
			d.note(n, "asks for a secret that its pod does not declare", slog.String("secret", name))
			continue
		}
		d.say(n, executor.Secret{Task: m.Task, Name: name, Value: []byte(value.Value)})
	}
}

// checkSecrets says which file of a task wants a secret that its pod does not
// declare: nobody would ever send it.
func (p *Pod) checkSecrets(task executor.Task) error {
	for _, file := range task.Secrets {
		if !slices.Contains(p.Secrets, file.Name) {
			return fmt.Errorf("secret %q of file %s is not declared: wants one of Pod.Secrets %q", file.Name, file.Path, p.Secrets)
		}
	}
	return nil
}

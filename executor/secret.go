package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A SecretFile is a file whose content is a secret: a password or a key. It
// does not travel in the Task, which agents and masters show to whoever asks,
// but in a Secret message, once the executor has said Hello.
type SecretFile struct {
	// Name is what the scheduler knows the secret by.
	Name string `json:"name"`
	// Path is as File.Path. The mode is 0600.
	Path string `json:"path"`
}

// helloInterval is the time after which an executor asks again for secrets.
const helloInterval = 2 * time.Second

func validateSecrets(secrets []SecretFile) error {
	for i, s := range secrets {
		if s.Name == "" {
			return fmt.Errorf("secrets[%d].name is empty: want what the scheduler knows it by", i)
		}
		if slices.ContainsFunc(secrets[:i], func(other SecretFile) bool { return other.Name == s.Name }) {
			return fmt.Errorf("secrets[%d].name %q is there twice", i, s.Name)
		}
		if err := validateFile(s.Path); err != nil {
			return fmt.Errorf("secrets[%d].path %w", i, err)
		}
	}
	return nil
}

// awaitSecrets asks for the secrets of the task until all have come and are
// written.
func (s *supervisor) awaitSecrets(ctx context.Context) error {
	missing := slices.Clone(s.task.Secrets)
	ask := time.NewTicker(helloInterval)
	defer ask.Stop()
	s.sayHello(missing)
	for len(missing) > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ask.C:
			s.sayHello(missing)
		case m := <-s.inbox:
			got, ok := m.(Secret)
			if !ok {
				continue
			}
			i := slices.IndexFunc(missing, func(f SecretFile) bool { return f.Name == got.Name })
			if i < 0 {
				continue
			}
			if err := s.places.write(missing[i].Path, got.Value, 0o600, s.user); err != nil {
				return errors.Join(fmt.Errorf("secret %s", got.Name), err)
			}
			missing = slices.Delete(missing, i, i+1)
		}
	}
	return nil
}

func (s *supervisor) sayHello(missing []SecretFile) {
	names := make([]string, len(missing))
	for i, f := range missing {
		names[i] = f.Name
	}
	s.say(Hello{Task: s.id, Secrets: names})
}

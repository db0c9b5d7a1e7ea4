package model

import (
	"errors"
	"fmt"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// The checks of this file are those of src/common/validation.cpp: what a
// command, a container and a check must look like, wherever they are.

func validateCommand(c *mesos.CommandInfo) error {
	if c == nil || c.Environment == nil {
		return nil
	}
	for i := range c.Environment.Variables {
		if err := validateVariable(&c.Environment.Variables[i]); err != nil {
			return err
		}
	}
	return nil
}

func validateVariable(v *mesos.Environment_Variable) error {
	switch v.GetType() {
	case mesos.Environment_Variable_SECRET:
		switch {
		case v.Secret == nil:
			return fmt.Errorf("Environment variable '%s' of type 'SECRET' must have a secret set", v.Name)
		case v.Value != nil:
			return fmt.Errorf("Environment variable '%s' of type 'SECRET' must not have a value set", v.Name)
		}
		if err := validateSecret(v.Secret); err != nil {
			return fmt.Errorf("Environment variable '%s' specifies an invalid secret: %w", v.Name, err)
		}
		if strings.Contains(string(v.Secret.GetValue().GetData()), "\x00") {
			return fmt.Errorf("Environment variable '%s' specifies a secret containing null bytes, which is not allowed in the environment", v.Name)
		}
	case mesos.Environment_Variable_VALUE:
		switch {
		case v.Value == nil:
			return fmt.Errorf("Environment variable '%s' of type 'VALUE' must have a value set", v.Name)
		case v.Secret != nil:
			return fmt.Errorf("Environment variable '%s' of type 'VALUE' must not have a secret set", v.Name)
		}
	default:
		return errors.New("Environment variable of type 'UNKNOWN' is not allowed")
	}
	return nil
}

func validateSecret(s *mesos.Secret) error {
	switch {
	case s.Type == mesos.Secret_REFERENCE && s.Reference == nil:
		return errors.New("Secret of type REFERENCE must have the 'reference' field set")
	case s.Type == mesos.Secret_REFERENCE && s.Value != nil:
		return fmt.Errorf("Secret '%s' of type REFERENCE must not have the 'value' field set", s.Reference.Name)
	case s.Type == mesos.Secret_VALUE && s.Value == nil:
		return errors.New("Secret of type VALUE must have the 'value' field set")
	case s.Type == mesos.Secret_VALUE && s.Reference != nil:
		return errors.New("Secret of type VALUE must not have the 'reference' field set")
	}
	return nil
}

func validateContainer(c *mesos.ContainerInfo) error {
	if c == nil {
		return nil
	}
	for i := range c.Volumes {
		if err := validateMount(&c.Volumes[i]); err != nil {
			return fmt.Errorf("Invalid volume: %w", err)
		}
	}
	if c.GetType() != mesos.ContainerInfo_DOCKER {
		return nil
	}
	if c.Docker == nil {
		return errors.New("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo")
	}
	for _, p := range c.Docker.Parameters {
		if p.Key == "name" {
			return errors.New("Parameter in DockerInfo must not be 'name'")
		}
	}
	return nil
}

// validateMount checks a volume of a container.
func validateMount(v *mesos.Volume) error {
	n := 0
	for _, set := range []bool{v.HostPath != nil, v.Image != nil, v.Source != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		return errors.New("Only one of them should be set: 'host_path', 'image' and 'source'")
	}
	s := v.Source
	if s == nil {
		return nil
	}
	switch {
	case s.Type == mesos.Volume_Source_UNKNOWN:
		return errors.New("'source.type' is unknown")
	case s.Type == mesos.Volume_Source_DOCKER_VOLUME && s.DockerVolume == nil:
		return errors.New("'source.docker_volume' is not set for DOCKER_VOLUME volume")
	case s.Type == mesos.Volume_Source_HOST_PATH && s.HostPath == nil:
		return errors.New("'source.host_path' is not set for HOST_PATH volume")
	case s.Type == mesos.Volume_Source_SANDBOX_PATH && s.SandboxPath == nil:
		return errors.New("'source.sandbox_path' is not set for SANDBOX_PATH volume")
	case s.Type == mesos.Volume_Source_SECRET && s.Secret == nil:
		return errors.New("'source.secret' is not set for SECRET volume")
	}
	return nil
}

// fillHealthCheck sets the type of a health check that does not say it, as
// masters do for frameworks of before there were types.
func fillHealthCheck(h *mesos.HealthCheck) *mesos.HealthCheck {
	if h == nil || h.Type != mesos.HealthCheck_UNKNOWN || (h.Command == nil) == (h.HTTP == nil) {
		return h
	}
	filled := *h
	filled.Type = mesos.HealthCheck_COMMAND
	if h.HTTP != nil {
		filled.Type = mesos.HealthCheck_HTTP
	}
	return &filled
}

func validateHealthCheck(h *mesos.HealthCheck) error {
	if h == nil {
		return nil
	}
	switch h.Type {
	case mesos.HealthCheck_COMMAND:
		if h.Command == nil {
			return errors.New("Expecting 'command' to be set for COMMAND health check")
		}
		if h.Command.Value == nil {
			return fmt.Errorf("Command health check must contain %s", commandKind(h.Command))
		}
		if err := validateCommand(h.Command); err != nil {
			return fmt.Errorf("Health check's `CommandInfo` is invalid: %w", err)
		}
	case mesos.HealthCheck_HTTP:
		switch http := h.HTTP; {
		case http == nil:
			return errors.New("Expecting 'http' to be set for HTTP health check")
		case http.Scheme != nil && *http.Scheme != "http" && *http.Scheme != "https":
			return fmt.Errorf("Unsupported HTTP health check scheme: '%s'", *http.Scheme)
		case http.Path != nil && !strings.HasPrefix(*http.Path, "/"):
			return fmt.Errorf("The path '%s' of HTTP health check must start with '/'", *http.Path)
		}
	case mesos.HealthCheck_TCP:
		if h.TCP == nil {
			return errors.New("Expecting 'tcp' to be set for TCP health check")
		}
	default:
		return errors.New("HealthCheck must specify 'type'")
	}
	return notNegative([]number{{"delay_seconds", h.DelaySeconds}, {"grace_period_seconds", h.GracePeriodSeconds},
		{"interval_seconds", h.IntervalSeconds}, {"timeout_seconds", h.TimeoutSeconds}})
}

func validateCheck(c *mesos.CheckInfo) error {
	if c == nil {
		return nil
	}
	switch c.Type {
	case mesos.CheckInfo_COMMAND:
		if c.Command == nil {
			return errors.New("Expecting 'command' to be set for COMMAND check")
		}
		if c.Command.Command.Value == nil {
			return fmt.Errorf("Command check must contain %s", commandKind(&c.Command.Command))
		}
		if err := validateCommand(&c.Command.Command); err != nil {
			return fmt.Errorf("Check's `CommandInfo` is invalid: %w", err)
		}
	case mesos.CheckInfo_HTTP:
		switch {
		case c.HTTP == nil:
			return errors.New("Expecting 'http' to be set for HTTP check")
		case c.HTTP.Path != nil && !strings.HasPrefix(*c.HTTP.Path, "/"):
			return fmt.Errorf("The path '%s' of HTTP check must start with '/'", *c.HTTP.Path)
		}
	case mesos.CheckInfo_TCP:
		if c.TCP == nil {
			return errors.New("Expecting 'tcp' to be set for TCP check")
		}
	default:
		return errors.New("CheckInfo must specify 'type'")
	}
	return notNegative([]number{{"delay_seconds", c.DelaySeconds}, {"interval_seconds", c.IntervalSeconds},
		{"timeout_seconds", c.TimeoutSeconds}})
}

func commandKind(c *mesos.CommandInfo) string {
	if c.GetShell() {
		return "'shell command'"
	}
	return "'executable path'"
}

type number struct {
	name  string
	value *float64
}

// notNegative checks numbers; one that is none at all is wrong, too.
func notNegative(numbers []number) error {
	for _, n := range numbers {
		if n.value != nil && !(*n.value >= 0) {
			return fmt.Errorf("Expecting '%s' to be non-negative", n.name)
		}
	}
	return nil
}

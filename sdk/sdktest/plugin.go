package sdktest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// Plugin is the plugin under test.
type Plugin struct {
	// Path is the absolute path of its binary.
	Path string
	// SHA256 pins the binary; empty for none.
	SHA256 string
	// Environment is what it sees of the environment beside PATH, HOME and TMPDIR.
	Environment []string
}

// Binary builds the plugin whose main package is in dir.
func Binary(t testing.TB, dir string) Plugin {
	t.Helper()
	path := filepath.Join(t.TempDir(), "barman-plugin-under-test")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build in %s: %v\n%s", dir, err, out)
	}
	return Plugin{Path: path}
}

// subject is a plugin with the settings that it is checked with.
type subject struct {
	plugin Plugin
	kind   string
	config Config
	options
}

// session is a running process of the plugin.
type session struct {
	*host.Stage
	suffix string
	log    *logBook
}

// environment is what every program may need; a plugin sees nothing else.
func (s subject) environment() []string {
	env := append([]string{}, s.plugin.Environment...)
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// launch starts a process that is not yet configured.
func (s subject) launch(t T) *session {
	t.Helper()
	// The paths of sockets are short, and those of a test's directory long.
	dir, err := os.MkdirTemp("", "lane")
	if err != nil {
		t.Fatalf("a directory for sockets: %v", err)
	}
	log := &logBook{}
	stage, err := host.Launch(host.Binary{
		Path: s.plugin.Path, SHA256: s.plugin.SHA256, Environment: s.environment(), Directory: dir,
		Logger: hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Trace, DisableTime: true}),
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	session := &session{Stage: stage, log: log}
	t.Cleanup(func() {
		session.Stop()
		if t.Failed() && log.tail() != "" {
			t.Logf("the plugin's log ends with:\n%s", log.tail())
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the sockets: %v", err)
		}
	})
	return session
}

// open starts a process and configures it.
func (s subject) open(t T) *session {
	t.Helper()
	return s.openFor(t, s.server)
}

func (s subject) openFor(t T, server sdk.Server) *session {
	t.Helper()
	session := s.launch(t)
	if err := s.configure(t.Context(), t, session, server); err != nil {
		t.Fatalf("configure: %v", err)
	}
	return session
}

func (s subject) configure(ctx context.Context, t T, session *session, server sdk.Server) error {
	t.Helper()
	config := s.config
	if config == nil {
		config = Config{}
	}
	settings, err := json.Marshal(config)
	if err != nil {
		t.Fatalf("the settings of the test: %v", err)
	}
	suffix, diagnostics, err := session.Configure(ctx, settings, server)
	if err != nil {
		return err
	}
	session.suffix = suffix
	return diagnostics.Err()
}

// starts is the first check of every kind.
func (s subject) starts() Check {
	return Check{"starts", "A plugin shakes hands before it writes anything else to standard output, and says of which kind it is, its name and what it does.", func(t T) {
		session := s.launch(t)
		d, err := session.Describe(t.Context())
		if err != nil {
			t.Fatalf("describe: %v", err)
		}
		if d.Kind != s.kind {
			t.Fatalf("it says that it is a %s, not a %s", d.Kind, s.kind)
		}
		if d.Name == "" || d.Doc == "" {
			t.Errorf("it has no name or no description: %q, %q", d.Name, d.Doc)
		}
		if err := s.configure(t.Context(), t, session, s.server); err != nil {
			t.Fatalf("configure: %v", err)
		}
	}}
}

// refusesUnknownSettings is the second.
func (s subject) refusesUnknownSettings() Check {
	return Check{"refuses unknown settings", "A setting that the plugin does not know is a mistake that it reports, never one that it ignores.", func(t T) {
		config := Config{"a_setting_that_nobody_has": "x"}
		for k, v := range s.config {
			config[k] = v
		}
		odd := s
		odd.config = config
		if err := odd.configure(t.Context(), t, odd.launch(t), s.server); err == nil {
			t.Errorf("it accepts the setting a_setting_that_nobody_has")
		}
	}}
}

// logBook keeps the end of a log.
type logBook struct {
	mu   sync.Mutex
	text []byte
}

const maxLog = 4 << 20

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if extra := len(l.text) - maxLog; extra > maxLog {
		l.text = append([]byte(nil), l.text[extra:]...)
	}
	return len(p), nil
}

func (l *logBook) all() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text)
}

// tail is the last lines.
func (l *logBook) tail() string {
	const lines = 20
	parts := bytes.Split(bytes.TrimSpace(l.all()), []byte("\n"))
	return string(bytes.Join(parts[max(0, len(parts)-lines):], []byte("\n")))
}

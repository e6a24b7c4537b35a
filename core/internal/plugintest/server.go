package plugintest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/server"
)

// Server is the server "main" in a home directory of its own.
type Server struct {
	*server.Server
	// Engine runs its pipelines.
	Engine *Engine
	// Home is the home directory, Config the configuration file.
	Home, Config string
}

// NewServer makes a server of the settings in its block of the configuration,
// and its directories. Its log goes to the test's and to further writers.
func NewServer(t *testing.T, settings string, logs ...io.Writer) *Server {
	t.Helper()
	home := t.TempDir()
	return OpenServer(t, home, settings, logs...)
}

// OpenServer is NewServer in a home directory that may exist.
func OpenServer(t *testing.T, home, settings string, logs ...io.Writer) *Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "barman.hcl")
	content := fmt.Sprintf("barman {\n  home = %q\n}\nserver \"main\" {\n  conninfo = \"host=127.0.0.1 port=1 user=nobody\"\n%s\n}\n", home, settings)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	log := logger(t, logs...)
	e := newEngine(t, log)
	s, err := server.Open(loaded, loaded.Servers[0], e.Engine, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Catalogue.CreateDirectories(); err != nil {
		t.Fatal(err)
	}
	return &Server{Server: s, Engine: e, Home: home, Config: path}
}

package remote

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/pgtest"
)

func TestTheCommandLineIsThatOfBarmanCLI(t *testing.T) {
	for _, c := range []struct {
		barman Barman
		args   []string
		want   string
	}{
		{Barman{User: "barman", Host: "backup"}, []string{"put-wal", "main"}, "-q -T barman@backup barman put-wal main"},
		{Barman{User: "barman", Host: "backup", Port: 2222, Config: "/etc/b.hcl"}, []string{"put-wal", "main", "--test"},
			"-q -T -p 2222 barman@backup barman --config=/etc/b.hcl put-wal main --test"},
		{Barman{Host: "backup", Config: "/my files/b.hcl"}, []string{"get-wal", "it's"},
			`-q -T backup barman --config='/my files/b.hcl' get-wal 'it'\''s'`},
	} {
		got, err := c.barman.Args(c.args...)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q, %v, want %q", got, err, c.want)
		}
	}
}

func TestAHostThatSSHWouldTakeForAnOptionIsRefused(t *testing.T) {
	for _, b := range []Barman{{}, {Host: "-oProxyCommand=touch x"}, {User: "-x", Host: "backup"}} {
		if line, err := b.Args("put-wal"); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%+v: %q, %v", b, line, err)
		}
	}
}

// fakeBarman prints its arguments one per line, and ends as the first one says.
const fakeBarman = `#!/bin/sh
printf '%s\n' "$@"
case $1 in
cat) cat ;;
fail) echo "what is wrong" >&2; exit 42 ;;
die) kill -9 $$ ;;
hang) sleep 600 ;;
esac
`

// site is another host with the barman above.
func site(t *testing.T) (Barman, *pgtest.SSHD) {
	t.Helper()
	bin := filepath.Join(pgtest.Scratch(t), "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "barman"), []byte(fakeBarman), 0o755); err != nil {
		t.Fatal(err)
	}
	host := pgtest.StartSSHD(t, pgtest.SSHDOptions{Path: []string{bin}})
	t.Setenv("PATH", host.ClientPath())
	return Barman{User: host.User, Host: "backup"}, host
}

func TestAnArgumentStaysOneWordWhateverIsInIt(t *testing.T) {
	barman, _ := site(t)
	args := []string{"args", "", " ", "it's", `"`, `\`, "$HOME", "`id`", "a;id", "a&b", "a|b", "*", "~", "#", "(", "%", "!!", "--x=y z", "ä"}
	var out bytes.Buffer
	barman.Config = "/a b/c';id #"
	if err := barman.Run(t.Context(), Streams{Out: &out}, args...); err != nil {
		t.Fatal(err)
	}
	want := append([]string{"--config=" + barman.Config}, args...)
	if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestStreamsAreThoseOfTheCommand(t *testing.T) {
	barman, _ := site(t)
	in := bytes.Repeat([]byte{0, 1, '\n', 0xff}, 300_000)
	var out, stderr bytes.Buffer
	if err := barman.Run(t.Context(), Streams{In: bytes.NewReader(in), Out: &out, Err: &stderr}, "cat"); err != nil {
		t.Fatal(err)
	}
	if got, ok := bytes.CutPrefix(out.Bytes(), []byte("cat\n")); !ok || !bytes.Equal(got, in) {
		t.Errorf("%d bytes came back", len(got))
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error: %q", stderr.String())
	}
}

func TestTheFailureOfTheCommandIsToldFromThatOfSSH(t *testing.T) {
	barman, host := site(t)
	var stderr bytes.Buffer
	err := barman.Run(t.Context(), Streams{Err: &stderr}, "fail")
	var failed *Failed
	if !errors.As(err, &failed) || failed.Code != 42 || stderr.String() != "what is wrong\n" {
		t.Errorf("%v; standard error %q", err, stderr.String())
	}
	if err := barman.Run(t.Context(), Streams{}, "die"); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("killed there: %v", err)
	}
	host.Stop()
	err = barman.Run(t.Context(), Streams{}, "args")
	if sdk.KindOf(err) != sdk.Unavailable || errors.As(err, &failed) || !strings.Contains(err.Error(), "ssh "+host.User+"@backup true") {
		t.Errorf("nobody there: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := barman.Run(t.Context(), Streams{}, "args"); sdk.KindOf(err) != sdk.Invalid || !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("no ssh: %v", err)
	}
}

func TestItEndsWhenItIsToldTo(t *testing.T) {
	barman, _ := site(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := barman.Run(ctx, Streams{Out: cancelling{cancel}}, "hang"); sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("error %v", err)
	}
}

// cancelling ends a context once something is written.
type cancelling struct{ cancel func() }

func (c cancelling) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}

// What a shell makes of a quoted text is the text.
func FuzzQuote(f *testing.F) {
	for _, text := range []string{"", "main", "it's", "''", "a\nb", `\'`, "$(id)", "-n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsRune(text, 0) {
			return // no argument can hold it
		}
		out, err := exec.Command("sh", "-c", "printf %s "+Quote("x"+text)).Output()
		if err != nil || string(out) != "x"+text {
			t.Errorf("%q became %q, %v", text, out, err)
		}
	})
}

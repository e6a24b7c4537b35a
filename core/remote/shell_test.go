package remote

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

// FuzzNoArgumentIsMoreThanAWord sends arguments through the line that ssh hands to
// a shell.
func FuzzNoArgumentIsMoreThanAWord(f *testing.F) {
	for _, word := range []string{"", "a b", "'", `'\''; touch x; '`, "$(touch x)", "a\nb", "-n", `\`, "\x01\xff"} {
		f.Add(word, "second")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		if strings.ContainsRune(first+second, 0) {
			return
		}
		out, err := exec.Command("sh", "-c", Line(`printf '%s|' "$@"`, first, second)).CombinedOutput()
		if want := first + "|" + second + "|"; err != nil || string(out) != want {
			t.Errorf("%q, want %q: %v", out, want, err)
		}
	})
}

func TestASessionTellsWhatScriptsSayAndHowTheyEnd(t *testing.T) {
	s, err := Shell{Command: "printf 'Welcome\\n'; sh -c"}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 100_000)
	said, err := s.Call(`printf '%s\000\n\n' "$1"`, long)
	if err != nil || string(said) != long+"\x00\n\n" {
		t.Errorf("%d bytes, %v", len(said), err)
	}
	var failed *Failed
	if _, err = s.Call(`echo "no, $1" >&2; exit 7`, "it's"); !errors.As(err, &failed) || failed.Code != 7 || !strings.Contains(err.Error(), "no, it's") {
		t.Errorf("%v", err)
	}
	if said, err = s.Call(`cd /; pwd`); err != nil || string(said) != "/\n" {
		t.Errorf("%q, %v", said, err)
	}
	if err := s.Become(`false && exec nothing`); !errors.As(err, &failed) {
		t.Errorf("%v", err)
	}
	if err := s.Become(`exec sh -c "$become"`); err != nil {
		t.Error(err)
	}
	if said, err := s.Call(`echo still`); err != nil || string(said) != "still\n" {
		t.Errorf("%q, %v", said, err)
	}
	if err := s.Become(`exec sh -c 'echo gone; exit 3'`); !errors.As(err, &failed) || failed.Code != 3 || !strings.Contains(err.Error(), "gone") {
		t.Errorf("%v", err)
	}
	if _, err := s.Call(`:`); err == nil {
		t.Error("a session that has ended answers")
	}
}

func TestALostConnectionIsNoAnswer(t *testing.T) {
	s, err := Shell{Command: "sh -c"}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Call(`kill -9 $PPID $$`); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestAnSSHThatIsKilledIsALostConnection(t *testing.T) {
	// The shell that starts it tells with an exit code of its own.
	err := Shell{Command: `f() { sh -c 'kill -9 $$'; exit $?; }; f`}.Run(t.Context(), nil, nil, `:`)
	if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), "lost the connection") {
		t.Errorf("%v", err)
	}
}

func TestAScriptIsFedAndItsOutputRead(t *testing.T) {
	var out bytes.Buffer
	if err := (Shell{Command: "sh -c"}).Run(t.Context(), strings.NewReader("in"), &out, `cat; printf '%s' "$1"`, " 'out'"); err != nil || out.String() != "in 'out'" {
		t.Errorf("%q, %v", out.String(), err)
	}
	err := Shell{Command: "sh -c"}.Run(t.Context(), bytes.NewReader(make([]byte, 1<<20)), nil, `echo full >&2; exit 2`)
	var failed *Failed
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "full") {
		t.Errorf("%v", err)
	}
}

package host

import (
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

func TestAPluginsLogIsLoggedAgainUnderTheStagesName(t *testing.T) {
	stage, log := configured(t, "", sdk.Server{})
	if err := stage.Notify(t.Context(), sdk.Event{Operation: "log"}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"[TRACE] hook.test: a trace\n",
		"[DEBUG] hook.test: a debug line\n",
		"[INFO]  hook.test: an info: backup=20260102T030405 size=12\n",
		"[WARN]  hook.test: a warning\n",
		"[ERROR] hook.test: an error\n",
		"[INFO]  hook.test: a plain line\n",
		"longlonglong",
		"[INFO]  hook.test: the end\n",
	} {
		log.await(t, line)
	}
	// The line is too long for one, and is cut inside a word here and there.
	if n := strings.Count(log.String(), "long"); n < 49_990 {
		t.Errorf("of a line of 50,000 words %d were logged", n)
	}
}

func TestALineWriterCutsLinesThatDoNotEnd(t *testing.T) {
	var lines []string
	w := &lineWriter{line: func(text string) { lines = append(lines, text) }}
	for _, p := range []string{"one\ntw", "o\r\n", "\n", strings.Repeat("x", maxLogLine+10), "\nend\n"} {
		if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	want := []string{"one", "two", "", strings.Repeat("x", maxLogLine), "xxxxxxxxxx", "end"}
	if strings.Join(lines, "|") != strings.Join(want, "|") {
		t.Errorf("%d lines: %.200q", len(lines), lines)
	}
}

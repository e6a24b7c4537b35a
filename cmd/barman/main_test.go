package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/core/config"
	"github.com/barman-go/barman/core/version"
	"github.com/barman-go/barman/sdk"
)

func TestEveryKindOfErrorHasItsExitCode(t *testing.T) {
	for kind, want := range map[sdk.ErrorKind]int{
		sdk.NotFound: 1, sdk.Exists: 1, sdk.Denied: 1, sdk.Unavailable: 2, sdk.Invalid: 3, sdk.Unknown: 4, sdk.Busy: 5, sdk.Corrupt: 6,
		sdk.Cancelled: 2, sdk.Disconnected: 2,
	} {
		err := fmt.Errorf("backup of server main: %w", sdk.Errorf(kind, "it happened"))
		if got := exitCode(t.Context(), err); got != want {
			t.Errorf("%v: exit code %d, not %d", kind, got, want)
		}
	}
	if got := exitCode(t.Context(), nil); got != 0 {
		t.Errorf("no error: exit code %d", got)
	}
	if got := exitCode(t.Context(), errors.New("a surprise")); got != 4 {
		t.Errorf("unclassified: exit code %d, not 4", got)
	}
	if got := exitCode(t.Context(), &config.Error{}); got != 3 {
		t.Errorf("configuration: exit code %d, not 3", got)
	}
}

func TestASignalDecidesTheExitCodeOfAFailure(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interruption{signal: syscall.SIGTERM})
	if got := exitCode(ctx, errors.Join(sdk.Errorf(sdk.Invalid, "in the middle of it"))); got != 143 {
		t.Errorf("exit code %d, not 143", got)
	}
	if got := exitCode(ctx, nil); got != 0 {
		t.Errorf("a command that was done in time has exit code %d", got)
	}
}

func TestSeveralFailuresShareACodeOnlyWhenAllFailedAlike(t *testing.T) {
	denied, busy := sdk.Errorf(sdk.Denied, "denied"), sdk.Errorf(sdk.Busy, "busy")
	for name, tc := range map[string]struct {
		failed failures
		want   int
	}{
		"the only one":  {failures{errs: []error{busy}, of: 1}, exitBusy},
		"all alike":     {failures{errs: []error{busy, busy}, of: 2}, exitBusy},
		"all otherwise": {failures{errs: []error{busy, denied}, of: 2}, exitPartial},
		"some":          {failures{errs: []error{busy}, of: 2}, exitPartial},
	} {
		if got := exitCode(t.Context(), &tc.failed); got != tc.want {
			t.Errorf("%s: exit code %d, not %d", name, got, tc.want)
		}
	}
	if err := (&failures{of: 3}).result(); err != nil {
		t.Errorf("no failure is the error %v", err)
	}
}

func TestTheDocumentListsTheExitCodes(t *testing.T) {
	text, err := os.ReadFile("../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	for code := range exitPartial + 1 {
		if !strings.Contains(string(text), fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("docs/exit-codes.md has no row for %d", code)
		}
	}
}

func TestLongOptionsMayBeAbbreviatedWhereOnlyOneIsMeant(t *testing.T) {
	for _, tc := range []struct{ given, want string }{
		{"check --nag main", "check --nagios main"},
		{"--form=json check --check-t=5 main", "--format=json check --check-timeout=5 main"},
		{"recover main latest d --target-t now", "recover main latest d --target-t now"}, // target-time, target-tli
		{"recover main latest d --standby", "recover main latest d --standby-mode"},
		{"check main -- --nag", "check main -- --nag"},
		{"check --nonsense", "check --nonsense"},
		{"nonsense --nag", "nonsense --nag"},
		{"", ""},
	} {
		given := strings.Fields(tc.given)
		got := strings.Join(completed(newRootCommand(newApp(os.Stdout, os.Stderr)), given), " ")
		if got != tc.want {
			t.Errorf("%q becomes %q, not %q", tc.given, got, tc.want)
		}
	}
}

func TestTheFirstLineOfTheVersionIsANumberForProgramsToCompare(t *testing.T) {
	first, _, _ := strings.Cut(versionText(), "\n")
	if first != version.Compatible || strings.Trim(first, "0123456789.") != "" {
		t.Errorf("%q", first)
	}
}

func TestLevelsOfTheLogGoByPythonsNamesAndNumbers(t *testing.T) {
	for text, want := range map[string]hclog.Level{
		"NOTSET": hclog.Trace, "debug": hclog.Debug, "INFO": hclog.Info, "warn": hclog.Warn, "WARNING": hclog.Warn, "error": hclog.Error,
		"CRITICAL": hclog.Off, "0": hclog.Trace, "10": hclog.Debug, "11": hclog.Info, "20": hclog.Info, "30": hclog.Warn, "40": hclog.Error, "50": hclog.Off,
	} {
		if got, err := logLevel(text); err != nil || got != want {
			t.Errorf("%s is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "loud", "-1", "1.5"} {
		if level, err := logLevel(text); err == nil {
			t.Errorf("%q is %v", text, level)
		}
	}
}

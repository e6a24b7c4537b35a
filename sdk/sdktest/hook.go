package sdktest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

// HookCases are the events that a hook is checked with, made for its settings.
type HookCases struct {
	// Accepts are events that it handles without an error.
	Accepts []sdk.Event
	// Vetoes are events of the pre phase that it answers with an error.
	Vetoes []sdk.Event
	// Lasts is an event that it works on for a minute at least; nil when there
	// is none such.
	Lasts *sdk.Event
}

// Hook checks a hook.
func Hook(t *testing.T, p Plugin, c Config, cases HookCases, list ...Option) {
	t.Helper()
	runAll(t, HookChecks(p, c, cases, list...))
}

// HookChecks are the clauses of sdk.Hook.
func HookChecks(p Plugin, c Config, cases HookCases, list ...Option) []Check {
	s := hookSubject{subject{plugin: p, kind: "hook", config: c, options: collect(list)}, cases}
	checks := []Check{
		s.starts(),
		s.refusesUnknownSettings(),
		{"accepts", "An event that the hook has nothing against is no error.", s.accepts},
		{"vetoes", "What the hook has against an event is an error that says why.", s.vetoes},
		{"at once", "Several events are handled at once.", s.atOnce},
		{"leaks", "Events, whether they succeed or not, leave no descriptors and no goroutines behind.", s.leaks},
	}
	if cases.Lasts != nil {
		checks = append(checks, Check{"cancellation", "When the call is cancelled, it ends within the deadline, and the hook's work with it.", s.cancellation})
	}
	return checks
}

type hookSubject struct {
	subject
	cases HookCases
}

func (s hookSubject) accepts(t T) {
	session := s.open(t)
	for _, e := range s.cases.Accepts {
		if err := session.Notify(t.Context(), e); err != nil {
			t.Errorf("%s %s: %v", e.Phase, e.Operation, err)
		}
	}
}

func (s hookSubject) vetoes(t T) {
	session := s.open(t)
	for _, e := range s.cases.Vetoes {
		err := session.Notify(t.Context(), e)
		if err == nil {
			t.Errorf("%s %s is not vetoed", e.Phase, e.Operation)
		} else if err.Error() == "" {
			t.Errorf("the veto of %s %s has no reason", e.Phase, e.Operation)
		}
	}
}

func (s hookSubject) atOnce(t T) {
	session := s.open(t)
	var wg sync.WaitGroup
	for i := range 4 * len(s.cases.Accepts) {
		wg.Go(func() {
			e := s.cases.Accepts[i%len(s.cases.Accepts)]
			if err := session.Notify(t.Context(), e); err != nil {
				t.Errorf("%s %s: %v", e.Phase, e.Operation, err)
			}
		})
	}
	wg.Wait()
}

func (s hookSubject) cancellation(t T) {
	const calls, slack = 12, 8
	idle, busy := s.open(t), s.open(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() { wantKind(t, "the cancelled call", busy.Notify(ctx, *s.cases.Lasts), sdk.Cancelled) })
	}
	wg.Wait()
	// The calls have ended for the caller; whether they have in the plugin only
	// shows from outside, and has the deadline to come true.
	for deadline := time.Now().Add(s.deadline); children(t, busy.PID()) > 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if n := children(t, busy.PID()); n > 0 {
		t.Errorf("%d of its programs still run %s after %d calls were cancelled", n, s.deadline, calls)
	}
	time.Sleep(min(s.deadline, time.Second))
	if a, b := idle.goroutines(t), busy.goroutines(t); b > a+slack {
		t.Errorf("%d goroutines after %d calls were cancelled, %d when it has nothing to do", b, calls, a)
	}
}

func (s hookSubject) leaks(t T) {
	s.leakless(t, func() *session { return s.open(t) }, func(session *session, i int) {
		for _, e := range s.cases.Accepts {
			if err := session.Notify(t.Context(), e); err != nil {
				t.Errorf("round %d: %v", i, err)
			}
		}
		for _, e := range s.cases.Vetoes {
			// What it says is another check's business.
			_ = session.Notify(t.Context(), e)
		}
	})
}

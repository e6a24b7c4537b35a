//go:build linux && amd64

package chaos_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/barman-go/barman/test/chaos"
	"github.com/barman-go/barman/test/pgtest"
)

// scenario is a command and what must be true whatever happens to it.
type scenario interface {
	// prepare makes everything as it is before the command.
	prepare() error
	// command is the command that suffers the fault.
	command() chaos.Command
	// during is what goes on while the command runs; it ends when done is closed.
	during(done <-chan struct{})
	// check says what is wrong after a run, with a fault or without.
	check(chaos.Outcome) error
	// next runs what a user runs after that, without a fault, and says what is wrong.
	next() error
}

// trial is one fault at one point.
type trial struct {
	point chaos.Point
	fault chaos.Fault
}

// sampleTime is how long the trials of one scenario may take unless all are
// asked for.
const sampleTime = 10 * time.Second

// walk tries the faults of a scenario: with BARMAN_CHAOS=all all that are not
// like many others, with BARMAN_CHAOS=every those too, else a sample
// that begins with one of every kind, for as long as BARMAN_CHAOS says.
// BARMAN_CHAOS_SEED chooses another sample, BARMAN_CHAOS_ONLY the points that
// match a regular expression.
func walk(t *testing.T, s scenario) {
	t.Helper()
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	clean, err := run(s, trial{})
	if err == nil && clean.Code != 0 {
		err = fmt.Errorf("exit code %d", clean.Code)
	}
	if err != nil {
		t.Fatalf("without a fault: %v\n%s", err, clean.Output)
	}
	mode := os.Getenv("BARMAN_CHAOS")
	all := mode == "all" || mode == "every"
	budget := sampleTime
	if d, err := time.ParseDuration(mode); err == nil {
		budget = d
	}
	trials := order(clean.Points, seed(t))
	possible := len(trials)
	if mode != "every" {
		trials = representatives(trials)
	}
	if !all {
		// A connection that breaks while both its ends live takes long to be found out.
		trials = slices.DeleteFunc(trials, func(tr trial) bool { return tr.fault.Errno == syscall.ECONNRESET })
	}
	begun, tried, hit, failed := time.Now(), 0, 0, 0
	for _, tr := range trials {
		if !all && time.Since(begun) > budget {
			break
		}
		tried++
		if err := s.prepare(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		outcome, err := run(s, tr)
		if took := time.Since(began); took > 20*time.Second {
			t.Logf("%s: %s: took %s, exit code %d:\n%s", tr.point, tr.fault, took.Round(time.Millisecond), outcome.Code, ours(outcome.Output))
		}
		if outcome.Hit {
			hit++
		}
		if err == nil {
			continue
		}
		t.Errorf("%s: %s: exit code %d: %v\nit printed:\n%s", tr.point, tr.fault, outcome.Code, err, ours(outcome.Output))
		if failed++; failed == 10 && !all {
			t.Fatal("no more trials after 10 failures")
		}
	}
	t.Logf("%d calls, %d trials possible, %d of them unlike each other, %d tried, %d reached their call; %s", len(clean.Points), possible, len(trials), tried, hit, kinds(clean.Points))
}

// run does one trial and all the checks after it.
func run(s scenario, tr trial) (chaos.Outcome, error) {
	done := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() { s.during(done) })
	outcome, err := chaos.Run(s.command(), tr.point, tr.fault)
	close(done)
	beside.Wait()
	if err != nil {
		return outcome, err
	}
	if outcome.Hung {
		return outcome, errors.New("it hung")
	}
	if len(outcome.Orphans) > 0 {
		return outcome, fmt.Errorf("these outlived it: %s", strings.Join(outcome.Orphans, ", "))
	}
	if strings.Contains(outcome.Output, "panic:") {
		return outcome, errors.New("it panicked")
	}
	if err := s.check(outcome); err != nil {
		return outcome, err
	}
	if !outcome.Hit && tr != (trial{}) {
		return outcome, nil // this run went another way and has shown nothing new
	}
	if err := s.next(); err != nil {
		return outcome, fmt.Errorf("the run after it: %w", err)
	}
	return outcome, nil
}

// ours leaves out, of a dump of goroutines, those that are not this project's.
func ours(output string) string {
	var kept []string
	for _, part := range strings.Split(output, "\n\n") {
		if !strings.HasPrefix(part, "goroutine ") || strings.Contains(part, "barman-go") {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "\n\n")
}

// order shuffles the trials, but takes one of every program, call and fault
// first.
func order(points []chaos.Point, seed uint64) []trial {
	type kind struct {
		program string
		call    chaos.Call
		fault   chaos.Fault
	}
	only := regexp.MustCompile(os.Getenv("BARMAN_CHAOS_ONLY"))
	var shuffled []trial
	for _, p := range points {
		if !only.MatchString(p.String()) {
			continue
		}
		for _, f := range p.Faults() {
			shuffled = append(shuffled, trial{p, f})
		}
	}
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	round := map[kind]int{}
	rounds := map[trial]int{}
	for _, tr := range shuffled {
		k := kind{tr.point.Program, tr.point.Call, tr.fault}
		rounds[tr] = round[k]
		round[k]++
	}
	slices.SortStableFunc(shuffled, func(a, b trial) int { return cmp.Compare(rounds[a], rounds[b]) })
	return shuffled
}

// alike is how many trials are kept of those that differ in numbers alone: in
// that of a relation's file, or in the how-manieth call it is.
const alike = 8

var number = regexp.MustCompile(`[0-9]+`)

func representatives(trials []trial) []trial {
	count := map[trial]int{}
	return slices.DeleteFunc(trials, func(tr trial) bool {
		tr.point.Object, tr.point.Nth = number.ReplaceAllString(tr.point.Object, "N"), 0
		count[tr]++
		return count[tr] > alike
	})
}

func seed(t *testing.T) uint64 {
	text := os.Getenv("BARMAN_CHAOS_SEED")
	if text == "" {
		return 1
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("BARMAN_CHAOS_SEED: %v", err)
	}
	return n
}

// kinds counts calls by program and name.
func kinds(points []chaos.Point) string {
	count := map[string]int{}
	for _, p := range points {
		count[p.Program+" "+string(p.Call)]++
	}
	var text []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		text = append(text, fmt.Sprintf("%s %d", name, count[name]))
	}
	return strings.Join(text, ", ")
}

// place is a directory with a barman home in it, which prepare makes anew.
type place struct {
	t    *testing.T
	root string
	bin  string
}

func newPlace(t *testing.T) place {
	return place{t: t, root: pgtest.Scratch(t), bin: pgtest.BarmanBin(t)}
}

// during: most commands are alone.
func (p place) during(<-chan struct{}) {}

func (p place) path(parts ...string) string {
	return filepath.Join(append([]string{p.root}, parts...)...)
}

// clear leaves an empty home with its configuration, and run directory.
func (p place) clear(hcl string) error {
	for _, dir := range []string{"home", "run", "to"} {
		if err := os.RemoveAll(p.path(dir)); err != nil {
			return err
		}
	}
	for _, dir := range []string{"home", "run"} {
		if err := os.Mkdir(p.path(dir), 0o700); err != nil {
			return err
		}
	}
	return os.WriteFile(p.path("barman.hcl"), []byte(fmt.Sprintf("barman {\n  home = %q\n}\n%s", p.path("home"), hcl)), 0o600)
}

// run runs barman without a fault.
func (p place) run(args ...string) error {
	return execute(p.barman(args...))
}

func execute(c chaos.Command) error {
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = c.Env
	if c.Stdin != "" {
		in, err := os.Open(c.Stdin)
		if err != nil {
			return err
		}
		defer in.Close()
		cmd.Stdin = in
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("barman %s: %w\n%s", strings.Join(c.Args, " "), err, out)
	}
	return nil
}

func (p place) barman(args ...string) chaos.Command {
	return chaos.Command{
		Path: filepath.Join(p.bin, "barman"), Args: append([]string{"-c", p.path("barman.hcl")}, args...),
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.root, "BARMAN_RUN_DIR=" + p.path("run")},
		Roots: map[string]string{
			p.path("home"): "home", p.path("run"): "run", p.path("to"): "to", p.path("barman.hcl"): "barman.hcl",
		},
		Within: time.Minute,
	}
}

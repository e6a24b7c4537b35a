package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sample is one run of one program.
type sample struct {
	wall   time.Duration
	cpu    time.Duration // of the command and all its descendants
	server time.Duration // of PostgreSQL, on the command's behalf
	stored int64         // bytes it left behind
}

// run runs a command to its end and measures it. What an earlier run left to
// be written is written first.
func run(b *testing.B, cmd *exec.Cmd, postmaster int) sample {
	b.Helper()
	sync(b)
	before := serverTime(b, postmaster)
	begun := time.Now()
	output, err := cmd.CombinedOutput()
	s := sample{wall: time.Since(begun)}
	if err != nil {
		b.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, output)
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if postmaster != 0 {
		// The backend that served it ends a moment later, and counts from then on.
		time.Sleep(300 * time.Millisecond)
	}
	s.server = serverTime(b, postmaster) - before
	return s
}

func sync(b *testing.B) {
	b.Helper()
	if output, err := exec.Command("sync").CombinedOutput(); err != nil {
		b.Fatalf("sync: %v\n%s", err, output)
	}
}

// serverTime is the processor time of a postmaster and of the backends that
// have ended; those of a backup or a receiver are among them a moment later.
func serverTime(b *testing.B, postmaster int) time.Duration {
	b.Helper()
	if postmaster == 0 {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", postmaster))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	var ticks int64
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// size is how many bytes the files below a directory have.
func size(b *testing.B, directory string) int64 {
	b.Helper()
	var total int64
	err := filepath.WalkDir(directory, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}

// contender is one of the programs that are compared.
type contender struct {
	name string
	// run does the work once, into a place that is empty.
	run func() sample
}

// rounds is how often each contender runs, unless BARMAN_BENCH_ROUNDS says
// otherwise.
const rounds = 5

func roundsWanted(b *testing.B) int {
	b.Helper()
	text := os.Getenv("BARMAN_BENCH_ROUNDS")
	if text == "" {
		return rounds
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("BARMAN_BENCH_ROUNDS=%q is no number of rounds", text)
	}
	return n
}

// compare runs contenders in turns, after one round that does not count.
func compare(b *testing.B, contenders ...contender) [][]sample {
	b.Helper()
	n := roundsWanted(b)
	samples := make([][]sample, len(contenders))
	for round := -1; round < n; round++ {
		for i, c := range contenders {
			s := c.run()
			if round >= 0 {
				samples[i] = append(samples[i], s)
			}
			b.Logf("round %d, %s: %.2f s, CPU %.2f s, server %.2f s", round, c.name, s.wall.Seconds(), s.cpu.Seconds(), s.server.Seconds())
		}
	}
	return samples
}

func median[T any](samples []sample, of func(sample) T, less func(a, b T) int) T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.SortFunc(values, less)
	return values[len(values)/2]
}

func wall(samples []sample) float64 {
	return median(samples, func(s sample) float64 { return s.wall.Seconds() }, compareFloats)
}

func cpu(samples []sample) float64 {
	return median(samples, func(s sample) float64 { return (s.cpu + s.server).Seconds() }, compareFloats)
}

func stored(samples []sample) float64 {
	return median(samples, func(s sample) float64 { return float64(s.stored) }, compareFloats)
}

// pairedRatio is the median of the ratios of runs that were neighbours, which
// a machine that is slow for a while does not change.
func pairedRatio(ours, theirs []sample, of func(sample) float64) float64 {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = of(ours[i]) / of(theirs[i])
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func wallOf(s sample) float64 { return s.wall.Seconds() }

func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// span is the range of a figure, for people to judge its scatter by.
func span(samples []sample) string {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = s.wall.Seconds()
	}
	return seconds(slices.Min(values)) + "–" + seconds(slices.Max(values))
}

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
)

// document is what the benchmarks write.
const document = "../docs/benchmarks.md"

const introduction = `# Benchmarks

Written by ` + "`make bench`" + `, which installs the programs to compare with, runs them and barman in turns (one round to warm up, then A B A B …), and
prints medians. *Ratio* is the median of the ratios of neighbouring runs. Times of other days and machines do not compare; ratios do. CPU
is that of all processes: the program with its children, and PostgreSQL's on its behalf.

` + "`BARMAN_BENCH_ROUNDS` and `BARMAN_BENCH_SCALE` make a run shorter or its cluster another size; `scripts/bench Beside/restore` runs one part and\nreplaces its section alone." + `
`

// report is the section of the document that a part of the benchmarks writes.
type report struct {
	title string
	text  strings.Builder
}

func newReport(title string) *report { return &report{title: title} }

func (r *report) printf(format string, args ...any) { fmt.Fprintf(&r.text, format, args...) }

// versus adds a table of ours beside theirs, and whether the target is met.
func (r *report) versus(what string, target float64, names [2]string, samples [][]sample) {
	ours, theirs := samples[0], samples[1]
	ratio := pairedRatio(ours, theirs, wallOf)
	r.printf("%s\n\n", what)
	r.printf("| | s | range | CPU s | stored MB |\n|---|---:|---:|---:|---:|\n")
	for i, s := range [][]sample{ours, theirs} {
		r.printf("| %s | %s | %s | %.2f | %s |\n", names[i], seconds(wall(s)), span(s), cpu(s), megabytes(stored(s)))
	}
	r.printf("\nRatio **%.2f**; target ≤ %.2f: %s.\n\n", ratio, target, verdict(ratio <= target))
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}

func megabytes(bytes float64) string {
	if bytes == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f", bytes/1e6)
}

// write puts the section into the document, in place of an earlier one with its
// title, else at the end.
func (r *report) write(b *testing.B) {
	b.Helper()
	known, err := os.ReadFile(document)
	if err != nil && !os.IsNotExist(err) {
		b.Fatal(err)
	}
	text := fmt.Sprintf("%s\n\nOn %s.\n\n%s\n", r.title, conditions(b), strings.TrimSpace(r.text.String()))
	sections := strings.Split(string(known), "\n## ")[1:]
	at := slices.IndexFunc(sections, func(section string) bool { return strings.HasPrefix(section, r.title+"\n") })
	if at < 0 {
		sections = append(sections, text)
	} else {
		sections[at] = text
	}
	whole := introduction
	for _, section := range sections {
		whole += "\n## " + strings.TrimSpace(section) + "\n"
	}
	if err := os.WriteFile(document, []byte(whole), 0o644); err != nil {
		b.Fatal(err)
	}
}

// conditions are what the figures depend on.
func conditions(b *testing.B) string {
	b.Helper()
	return fmt.Sprintf("%d cores, %s of memory, %s, %d rounds; %s, %s", runtime.NumCPU(), memory(), filesystem(b), roundsWanted(b),
		version(b, pgtest.Tool(b, major, "postgres"), "--version"), version(b, "pgbackrest", "version"))
}

// seconds prints a duration with as many digits as tell something.
func seconds(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.3f", s)
	}
	return fmt.Sprintf("%.2f", s)
}

func memory() string {
	content, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return "unknown amount"
	}
	var kilobytes int64
	if _, err := fmt.Sscanf(string(content), "MemTotal: %d kB", &kilobytes); err != nil {
		return "unknown amount"
	}
	return fmt.Sprintf("%d GiB", (kilobytes+1<<19)>>20)
}

func filesystem(b *testing.B) string {
	output, err := exec.Command("stat", "-f", "-c", "%T", b.TempDir()).Output()
	if err != nil {
		return "unknown file system"
	}
	return strings.TrimSpace(string(output))
}

func version(b *testing.B, program string, args ...string) string {
	b.Helper()
	output, err := exec.Command(program, args...).Output()
	if err != nil {
		b.Fatalf("%s does not run (%v); install it with: scripts/install-deps bench", program, err)
	}
	return strings.TrimSpace(string(output))
}

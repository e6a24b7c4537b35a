package bench

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// report is the document that a run writes.
type report struct{ text strings.Builder }

func newReport(b *testing.B, clusterBytes int64) *report {
	r := &report{}
	r.printf("# Benchmarks\n\n")
	r.printf("Written by `make bench`, which installs the programs to compare with, runs them and barman in turns (one round to warm up, then\n")
	r.printf("A B A B …), and prints medians. *Ratio* is the median of the ratios of neighbouring runs. Times of other days and machines do not compare;\n")
	r.printf("ratios do. CPU is that of all processes: the program with its children, and PostgreSQL's on its behalf.\n\n")
	r.printf("This run: %d cores, %s of memory, %s, %s, %s; a pgbench cluster of %.2f GB, in the page cache.\n\n",
		runtime.NumCPU(), memory(), filesystem(b), version(b, "pg_basebackup", "--version"), version(b, "pgbackrest", "version"), float64(clusterBytes)/1e9)
	return r
}

func (r *report) printf(format string, args ...any) { fmt.Fprintf(&r.text, format, args...) }

// versus adds a table of ours beside theirs, and whether the target is met.
func (r *report) versus(title, what string, target float64, names [2]string, samples [][]sample) {
	ours, theirs := samples[0], samples[1]
	ratio := pairedRatio(ours, theirs, wallOf)
	r.printf("## %s\n\n%s\n\n", title, what)
	r.printf("| | s | range | CPU s | stored MB |\n|---|---:|---:|---:|---:|\n")
	for i, s := range [][]sample{ours, theirs} {
		r.printf("| %s | %.2f | %s | %.2f | %s |\n", names[i], wall(s), span(s), cpu(s), megabytes(stored(s)))
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

func (r *report) write(b *testing.B) {
	b.Helper()
	if err := os.WriteFile("../docs/benchmarks.md", []byte(strings.TrimRight(r.text.String(), "\n")+"\n"), 0o644); err != nil {
		b.Fatal(err)
	}
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

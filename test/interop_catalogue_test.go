package test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
)

// made is a catalogue that one program made, and what is in it.
type made struct {
	catalogue
	by program
	// The IDs of the backups, oldest first: plain files; tar archives compressed by
	// gzip; one that failed; plain files again; tar archives compressed by zstd, on
	// timeline 2, which leaves that of the others after late; one whose last WAL
	// waits to be archived.
	plain, tar, failed, late, branch, waiting string
	// point lies after late on both timelines, last at the end of timeline 1.
	point, last pgtest.Moment
}

// copied is a copy of the catalogue.
func (m made) copied(t *testing.T) made {
	t.Helper()
	m.catalogue = m.catalogue.copied(t)
	return m
}

// delivering is an archive_command into the incoming directories of all.
func delivering(to ...catalogue) string {
	var commands []string
	for _, c := range to {
		incoming := c.path("incoming")
		commands = append(commands, fmt.Sprintf("cp %%p %[1]s/.%%f && mv %[1]s/.%%f %[1]s/%%f", incoming))
	}
	return strings.Join(commands, " && ")
}

// bothMake has each program make a catalogue of the same server, in a directory:
// one takes a backup, then the other, and PostgreSQL delivers its WAL to both.
func bothMake(t *testing.T, memory string) (server *site, debians, ours *made) {
	t.Helper()
	debians, ours = &made{catalogue: newCatalogue(t, memory), by: catalogue.debians}, &made{catalogue: newCatalogue(t, memory), by: catalogue.ours}
	both := []*made{debians, ours}
	archiving := map[string]string{"archive_mode": "on", "archive_command": delivering(debians.catalogue, ours.catalogue)}
	follow := func(c *pgtest.Cluster) *site {
		for _, m := range both {
			m.catalogue = m.of(c)
		}
		return &site{Cluster: c, t: t}
	}
	take := func(m *made, options ...string) string {
		m.nextSecond()
		m.with(options...).must(m.by, "backup", "--wait", "main")
		return m.newest()
	}

	server = follow(pgtest.Start(t, pgtest.Options{Major: 15, SegmentSizeMB: 1, Tablespaces: []string{"fast"}, Config: archiving}))
	server.BarmanRoles()
	w := pgtest.StartWriter(t, server.Cluster, pgtest.WriterOptions{Tablespace: "fast"})
	server.delivered()
	for _, m := range both {
		m.must(m.by, "archive-wal", "main") // Debian's takes no backup before any WAL has come
		m.plain = take(m, "compression", "gzip")
	}
	server.SwitchWAL()
	for _, m := range both {
		m.tar = take(m, "backup_compression", "gzip")
	}
	for _, m := range both {
		m.nextSecond()
		if r := m.by(m.with("pre_backup_retry_script", "sh -c 'exit 63'"), "backup", "main"); r.Code == 0 {
			t.Fatalf("a backup that its hook has vetoed: %+v", r)
		}
		m.failed = m.newest()
	}
	for _, m := range both {
		m.late = take(m, "compression", "bzip2")
	}
	point := w.Moment("point")
	w.WaitRows(50)
	last := w.Stop()
	server.delivered()
	for _, m := range both {
		m.point, m.last = point, last
		m.with("compression", "bzip2").must(m.by, "archive-wal", "main")
	}

	branch := filepath.Join(pgtest.Scratch(t), "branch")
	debians.must(debians.by, "recover", "--target-name", point.Name, "--target-action", "promote", "--tablespace", "fast:"+branch+".fast", "main", debians.late, branch)
	second := follow(pgtest.StartExisting(t, 15, branch, archiving))
	second.Wait("SELECT NOT pg_is_in_recovery()")
	second.Exec("CREATE TABLE branch AS SELECT 2 AS timeline")
	for _, m := range both {
		m.branch = take(m, "backup_compression", "zstd")
	}
	second.delivered()
	for _, m := range both {
		m.must(m.by, "archive-wal", "main")
		m.nextSecond()
		m.with("incoming_wals_directory", m.home+"/nowhere").must(m.by, "backup", "main")
		m.waiting = m.newest()
	}
	second.delivered()
	return server, debians, ours
}

// aged moves the begin and the end of a backup by forty days into the past.
func (m made) aged(id string) {
	m.t.Helper()
	path := m.path("base", id, "backup.info")
	text, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	times := regexp.MustCompile(`(?m)^(begin|end)_time=(\S+ \S+)$`)
	moved := times.ReplaceAllStringFunc(string(text), func(line string) string {
		name, value, _ := strings.Cut(line, "=")
		at, err := time.Parse("2006-01-02 15:04:05.999999-07:00", value)
		if err != nil {
			m.t.Fatal(err)
		}
		return name + "=" + at.AddDate(0, 0, -40).Format("2006-01-02 15:04:05.000000-07:00")
	})
	if moved == string(text) {
		m.t.Fatalf("no times in %s", path)
	}
	if err := os.WriteFile(path, []byte(moved), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// What Debian's version 3.4 prints otherwise than 3.17, whose output is ours: the
// line of a backup tells its tablespaces, and not its type.
var (
	tablespaces = regexp.MustCompile(` \(tablespaces: [^)]*\)`)
	backupType  = regexp.MustCompile(`(?m)^(\S+ \d{8}T\d{6}(?: '.*?')?) - F`)
)

// sameList compares what both programs list.
func (c catalogue) sameList(want ...string) {
	c.t.Helper()
	theirs := tablespaces.ReplaceAllString(c.must(catalogue.debians, "list-backups", "main"), "")
	ours := c.must(catalogue.ours, "list-backups", "main")
	if diff := cmp.Diff(theirs, backupType.ReplaceAllString(ours, "$1")); diff != "" {
		c.t.Errorf("list-backups of Debian's barman (-) and ours (+):\n%s", diff)
	}
	for _, line := range want {
		if !strings.Contains(ours, line) {
			c.t.Errorf("list-backups tells nothing of %q:\n%s", line, ours)
		}
	}
}

// object is a JSON object.
type object = map[string]any

// sameListOfObjects compares list-backups in JSON.
func (c catalogue) sameListOfObjects() {
	c.t.Helper()
	list := func(by program, besides string) map[string][]object {
		var lists map[string][]object
		decode(c.t, c.must(by, "-f", "json", "list-backups", "main"), &lists)
		for _, backup := range lists["main"] {
			delete(backup, besides)
		}
		return lists
	}
	if diff := cmp.Diff(list(catalogue.debians, "tablespaces"), list(catalogue.ours, "backup_type")); diff != "" {
		c.t.Errorf("list-backups -f json of Debian's barman (-) and ours (+):\n%s", diff)
	}
}

// renamed are the keys of show-backup in JSON that have other names since 3.11.
var renamed = map[string]string{
	"disk_usage":                 "backup_size",
	"disk_usage_bytes":           "backup_size_bytes",
	"disk_usage_with_wals":       "backup_size_with_wals",
	"disk_usage_with_wals_bytes": "backup_size_with_wals_bytes",
}

// sameShown compares show-backup in JSON: ours must tell all that Debian's tells
// but for what later versions have no longer, and may tell more.
func (c catalogue) sameShown(id string) {
	c.t.Helper()
	show := func(by program) object {
		var shown map[string]object
		decode(c.t, c.must(by, "-f", "json", "show-backup", "main", id), &shown)
		return shown["main"]
	}
	theirs, ours := show(catalogue.debians), show(catalogue.ours)
	for _, shown := range []object{theirs, ours} {
		if wal, ok := shown["wal_information"].(object); ok && wal["_WARNING"] != nil {
			wal["_WARNING"] = strings.Fields(fmt.Sprint(wal["_WARNING"])) // Debian's breaks the line
		}
	}
	if base, ok := theirs["base_backup_information"].(object); ok {
		for before, after := range renamed {
			base[after] = base[before]
			delete(base, before)
		}
		for key := range base {
			if strings.HasPrefix(key, "incremental_size") { // of rsync backups only, as resources_saved
				delete(base, key)
			}
		}
	}
	if diff := cmp.Diff(theirs, shared(ours, theirs), cmp.Comparer(about)); diff != "" {
		c.t.Errorf("show-backup %s of Debian's barman (-) and ours (+):\n%s", id, diff)
	}
}

// shared is the part of an object whose keys the other has too.
func shared(of, with object) object {
	part := object{}
	for key, value := range of {
		other, ok := with[key]
		if !ok {
			continue
		}
		inner, isObject := value.(object)
		if otherInner, both := other.(object); both && isObject {
			value = shared(inner, otherInner)
		}
		part[key] = value
	}
	return part
}

// about compares rates: times are floating-point numbers in one program, and
// exact in the other.
func about(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Max(math.Abs(a), math.Abs(b)) }

// sameFiles compares list-files.
func (c catalogue) sameFiles(target, id string) {
	c.t.Helper()
	list := func(by program) []string {
		lines := strings.Split(strings.TrimSpace(c.must(by, "list-files", "--target", target, "main", id)), "\n")
		slices.Sort(lines)
		return lines
	}
	if diff := cmp.Diff(list(catalogue.debians), list(catalogue.ours)); diff != "" {
		c.t.Errorf("list-files --target %s %s of Debian's barman (-) and ours (+):\n%s", target, id, diff)
	}
}

// sameAnswers compares what both programs tell of a catalogue.
func sameAnswers(t *testing.T, m made) {
	m = m.copied(t)
	for _, id := range m.ids() {
		m.sameShown(id)
	}
	m.sameListOfObjects()
	minimal := []string{"list-backups", "--minimal", "main"}
	if diff := cmp.Diff(m.must(catalogue.debians, minimal...), m.must(catalogue.ours, minimal...)); diff != "" {
		t.Errorf("list-backups --minimal of Debian's barman (-) and ours (+):\n%s", diff)
	}
	m.sameFiles("full", m.plain)
	m.sameFiles("wal", m.tar)
	m.sameFiles("standalone", m.late)
	m.sameFiles("data", m.branch)
	m.must(catalogue.debians, "verify-backup", "main", m.plain)
	for _, id := range []string{m.plain, m.tar, m.branch} {
		m.must(catalogue.ours, "verify-backup", "main", id)
	}

	m.must(m.by, "keep", "--target", "full", "main", m.late)
	m.with("retention_policy", "REDUNDANCY 1").sameList("- OBSOLETE\n", "- KEEP:FULL\n", "- FAILED\n", "- WAITING_FOR_WALS\n")
	m.must(m.by, "keep", "--target", "standalone", "main", m.plain)
	m.aged(m.plain)
	m.aged(m.tar)
	m.with("retention_policy", "RECOVERY WINDOW OF 2 WEEKS", "minimum_redundancy", "5").sameList("- KEEP:STANDALONE\n")
}

func TestBothProgramsAgreeOnEachOthersCatalogues(t *testing.T) {
	t.Parallel()
	memory := pgtest.Tmpfs(t, 4<<30) // much is written and copied, and nothing here is about disks
	server, debians, ours := bothMake(t, memory)
	t.Run("turns on one catalogue", func(t *testing.T) {
		t.Parallel()
		takeTurns(t, server, memory)
	})
	t.Run("a catalogue of newer Barman", func(t *testing.T) {
		t.Parallel()
		keepsNewerLayout(t, *debians)
	})
	for _, m := range []struct {
		by string
		*made
	}{{"Debian's", debians}, {"ours", ours}} {
		for name, test := range map[string]func(t *testing.T, m made){
			"answers": sameAnswers, "recoveries": sameRecoveries, "checks": sameChecks, "deletions": sameDeletions,
		} {
			t.Run(name+" about a catalogue of "+m.by, func(t *testing.T) {
				t.Parallel()
				test(t, *m.made)
			})
		}
	}
}

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/barman-go/barman/test/pgtest"
	"github.com/barman-go/barman/test/storetest"
)

// TestTheDocumentLeadsFromAnEmptyBucketToARestoredCluster runs the commands of
// docs/cloud.md as they stand there.
func TestTheDocumentLeadsFromAnEmptyBucketToARestoredCluster(t *testing.T) {
	t.Parallel()
	bucket, server := storetest.NewS3(t), pgtest.Start(t, pgtest.Options{Major: 17})
	scratch := pgtest.Scratch(t)
	environment, restored := filepath.Join(scratch, "bucket.env"), filepath.Join(scratch, "restored")
	var settings strings.Builder
	for _, variable := range append([]string{"AWS_ENDPOINT_URL=" + bucket.Endpoint, "PATH=" + pgtest.EveryonesBin(t) + ":$PATH"}, bucket.Env...) {
		settings.WriteString("export " + variable + "\n")
	}
	if err := os.WriteFile(environment, []byte(settings.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../docs/cloud.md")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("/etc/barman/bucket.env", environment, "s3://backups", bucket.URL, "/var/lib/postgresql/restored", restored)
	var printed string
	do := func(block string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", here.Replace(block))
		cmd.Env = append(os.Environ(), "PGHOST="+server.SocketDir, "PGUSER=postgres", fmt.Sprintf("PGPORT=%d", server.Port))
		r := pgtest.Run(t, cmd)
		if r.Code != 0 {
			t.Fatalf("%s: exit code %d\n%s%s", block, r.Code, r.Stdout, r.Stderr)
		}
		printed = r.Stdout
	}
	var last pgtest.Moment
	for _, found := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(found[1], "barman-cloud-restore ") {
			w := pgtest.StartWriter(t, server, pgtest.WriterOptions{})
			w.WaitRows(50)
			last = w.Stop()
			server.Wait("SELECT last_archived_wal >= $1 FROM pg_stat_archiver", server.SwitchWAL())
			server.Kill9()
		}
		do(found[1])
		if strings.Contains(found[1], "ALTER SYSTEM") {
			server.Stop(pgtest.Fast)
			server.Restart()
		}
		if strings.Contains(found[1], "barman-cloud-backup-list") && !strings.Contains(printed, "first-one") {
			t.Errorf("the backup is not listed:\n%s", printed)
		}
	}
	if last.Row == 0 {
		t.Fatal("docs/cloud.md does not restore anything")
	}
	c := pgtest.StartExisting(t, 17, restored, nil)
	c.WaitRecovered()
	last.Check(t, c)
}

// The files of the example say what the document says.
func TestTheCloudOnlyExampleIsThatOfTheDocument(t *testing.T) {
	document, err := os.ReadFile("../docs/cloud.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bucket.env", "postgresql.conf", "barman-cloud.cron"} {
		example, err := os.ReadFile(filepath.Join("../examples/cloud-only", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range regexp.MustCompile(`(?m)export \S+$|barman-cloud-[^'&\n]*[^'&\n ]`).FindAllString(string(example), -1) {
			said := strings.ReplaceAll(string(document), " --immediate-checkpoint --name first-one", "")
			if !strings.HasPrefix(command, "barman-cloud:") && !strings.Contains(said, command) {
				t.Errorf("%s says %q, docs/cloud.md does not", name, command)
			}
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

// ended is how rsync ended with an exit code, having said something.
func ended(t *testing.T, code int, said ...string) error {
	t.Helper()
	var exit error
	if code != 0 {
		exit = exec.CommandContext(t.Context(), "/bin/sh", "-c", fmt.Sprint("exit ", code)).Run()
	}
	c := &complaints{logger: hclog.NewNullLogger()}
	for _, line := range said {
		if _, err := fmt.Fprintln(c, line); err != nil {
			t.Fatal(err)
		}
	}
	c.end()
	return new(rsync).outcome(exit, c)
}

func TestAFileThatVanishesIsFineAndOneThatFailsIsNot(t *testing.T) {
	const (
		vanished   = `file has vanished: "/srv/base/5/16384"`
		gone       = `rsync: [sender] link_stat "/srv/base/5/16385" failed: No such file or directory (2)`
		shorter    = `rsync: [sender] read errors mapping "/srv/base/5/16386": No data available (61)`
		broken     = `rsync: [sender] read errors mapping "/srv/base/5/16386": Input/output error (5)`
		denied     = `rsync: [sender] send_files failed to open "/srv/base/5/16387": Permission denied (13)`
		summary23  = `rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1338) [sender=3.2.7]`
		summary24  = `rsync warning: some files vanished before they could be transferred (code 24) at main.c(1338) [sender=3.2.7]`
		sshRemark  = "Warning: Permanently added 'pg' (ED25519) to the list of known hosts."
		keyChanged = "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @"
	)
	for name, tc := range map[string]struct {
		code int
		said []string
		kind sdk.ErrorKind
		text string // of the error; empty for none
	}{
		"nothing":                          {0, nil, 0, ""},
		"a remark of ssh":                  {0, []string{sshRemark}, 0, ""},
		"vanished":                         {24, []string{vanished, summary24}, 0, ""},
		"gone before the copy":             {23, []string{gone, summary23}, 0, ""},
		"truncated":                        {23, []string{sshRemark, shorter, vanished, summary23}, 0, ""},
		"23 without a reason":              {23, []string{summary23}, sdk.Unavailable, "exit code 23"},
		"a broken disk":                    {23, []string{vanished, broken, summary23}, sdk.Unavailable, "Input/output error"},
		"not readable":                     {23, []string{vanished, denied, summary23}, sdk.Denied, "must be able to read all files"},
		"the connection broke":             {12, []string{"rsync: connection unexpectedly closed (0 bytes received so far) [Receiver]"}, sdk.Unavailable, "the connection broke"},
		"rsync is missing":                 {12, []string{"bash: line 1: rsync: command not found"}, sdk.Invalid, "rsync is missing on PostgreSQL's host"},
		"too old":                          {1, []string{"rsync: on remote machine: --protect-args: unknown option"}, sdk.Invalid, "too old"},
		"nothing comes":                    {30, []string{"rsync error: timeout in data send/receive (code 30)"}, sdk.Unavailable, "nothing came"},
		"ssh is refused":                   {255, []string{"ssh: connect to host pg port 22: Connection refused"}, sdk.Unavailable, "ssh could not connect"},
		"ssh is not let in":                {255, []string{"postgres@pg: Permission denied (publickey)."}, sdk.Denied, "authorized_keys"},
		"another host's key":               {255, []string{keyChanged, "Host key verification failed."}, sdk.Denied, "is not the one that ssh knows"},
		"disk full":                        {11, []string{`rsync: [receiver] write failed on "/srv/x": No space left on device (28)`}, sdk.Unavailable, "free some room"},
		"24 with a failure":                {24, []string{vanished, denied, summary24}, sdk.Denied, "Permission denied"},
		"a complaint without an exit code": {0, []string{broken}, sdk.Unknown, "Input/output error"},
	} {
		err := ended(t, tc.code, tc.said...)
		switch {
		case tc.text == "" && err != nil, tc.text != "" && err == nil:
			t.Errorf("%s: %v", name, err)
		case err != nil && (sdk.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text)):
			t.Errorf("%s: %s: %v, expected %s with %q", name, sdk.KindOf(err), err, tc.kind, tc.text)
		}
	}
}

func TestOnlyAnRsyncThatIsNewEnoughIsUsed(t *testing.T) {
	for answer, fine := range map[string]bool{
		"rsync  version 3.2.7  protocol version 31\nCopyright": true, "rsync  version v3.1.0  protocol version 31": true, "rsync  version 4.0.0pre1": true,
		"rsync  version 3.0.9  protocol version 30": false, "rsync  version 2.6.9": false, "openrsync: protocol version 29": false, "": false,
		"rsync  version 99999999999999999999.1": false,
	} {
		if err := checkVersion("/usr/bin/rsync", answer); (err == nil) != fine {
			t.Errorf("%q: %v", answer, err)
		}
	}
	if _, err := newRsync(t.Context(), &Config{PathPrefix: t.TempDir()}); err != nil {
		t.Errorf("the real one: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := newRsync(t.Context(), &Config{}); sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "there is no rsync") {
		t.Errorf("%v", err)
	}
}

func TestLinesOfAListingAreRead(t *testing.T) {
	e, err := parseEntry(`-rw-r-----          8,192 2026/01/02 03:04:05 base/5/two words\#012#é`)
	if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "impossible name") {
		t.Errorf("a line feed in a name: %+v, %v", e, err)
	}
	e, err = parseEntry(`-rw-r-----          8,192 2026/01/02 03:04:05 base/5/two words\#134#é`)
	want := entry{name: `base/5/two words\#é`, size: 8192, modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), mode: 0o640, kind: '-'}
	if err != nil || e != want {
		t.Errorf("%+v, %v", e, err)
	}
	if again, err := parseEntry(want.String()); err != nil || again != want {
		t.Errorf("%q is read as %+v, %v", want, again, err)
	}
	for _, line := range []string{
		"", "drwx------", "-rw------- x 2026/01/02 03:04:05 a", "-rw------- 99999999999999999999 2026/01/02 03:04:05 a", "-rw------- 1 2026/13/02 03:04:05 a",
		"-rw------- 1 2026/01/02 03:04:05 ../a", "-rw------- 1 2026/01/02 03:04:05 /a",
	} {
		if e, err := parseEntry(line); err == nil {
			t.Errorf("%q is %+v", line, e)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(`-rw-r-----          8,192 2026/01/02 03:04:05 base/5/two words\#134#`)
	f.Add("drwx------          4,096 2026/01/02 03:04:05 .")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parseEntry(line)
		if err != nil {
			return
		}
		if again, err := parseEntry(e.String()); err != nil || again != e || e.size < 0 || e.name != "." && !sdk.ValidName(e.name) {
			t.Errorf("%q is %+v, and then %+v, %v", line, e, again, err)
		}
	})
}

func FuzzComplaints(f *testing.F) {
	f.Add([]byte("file has vanished: \"x\"\nrsync: y"))
	f.Fuzz(func(t *testing.T, said []byte) {
		c := &complaints{logger: hclog.NewNullLogger()}
		if n, err := c.Write(said); err != nil || n != len(said) {
			t.Fatal(n, err)
		}
		c.end()
		if len(c.first) > mostComplaints || len(c.rest) > 0 {
			t.Errorf("%+v", c)
		}
	})
}

func TestLimitsOfTablespacesAreRead(t *testing.T) {
	limit := 100
	c := &Config{BandwidthLimit: &limit, TablespaceBandwidthLimit: "big:10 a:b:0"}
	if c.limit("") != 100 || c.limit("big") != 10 || c.limit("a:b") != 0 || c.limit("other") != 100 {
		t.Error(c.limit(""), c.limit("big"), c.limit("a:b"), c.limit("other"))
	}
}

func TestEveryUnusableSettingIsReported(t *testing.T) {
	wrong := -1
	found := (&Config{
		SSHCommand: "ssh\npg", ReuseBackup: "hard", BandwidthLimit: &wrong, TablespaceBandwidthLimit: "x", StartBatchSize: &wrong, StartBatchPeriod: &wrong,
		KeepaliveInterval: &wrong, Scratch: "here",
	}).Validate()
	var paths []string
	for _, d := range found {
		paths = append(paths, d.Path)
	}
	want := "reuse_backup ssh_command bandwidth_limit parallel_jobs_start_batch_size parallel_jobs_start_batch_period keepalive_interval tablespace_bandwidth_limit scratch_directory"
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("%s", got)
	}
	if diagnostics := (&Config{}).Validate(); diagnostics != nil && !errors.Is(diagnostics.Err(), nil) {
		t.Errorf("%v", diagnostics)
	}
	if _, err := schema.Of(Config{}); err != nil {
		t.Error(err)
	}
}

func TestTheWalkAndTheManifestBeforeAreInOneOrder(t *testing.T) {
	for _, pair := range [][2]string{{"base/1", "base.x"}, {"base/1/2", "base/1.x"}, {"a", "b"}, {"global/1", "pg_tblspc/1/x"}, {"zz", "pg_tblspc/1/x"}, {"a", "a/b"}} {
		if !before(pair[0], pair[1]) || before(pair[1], pair[0]) || before(pair[0], pair[0]) {
			t.Errorf("%q", pair)
		}
	}
}

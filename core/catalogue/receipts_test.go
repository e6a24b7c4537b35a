package catalogue

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
)

const receiptID = BackupID("20240101T000000")

func receiptsFile(s *Server) string { return filepath.Join(s.Directory(receiptID), ReceiptsName) }

func TestReceiptsRoundTrip(t *testing.T) {
	s := newServer(t)
	header := ReceiptsHeader{Program: "barman 1", Chain: []ChainStage{{Kind: "source", Name: "pgbasebackup", Version: "1"},
		{Kind: "transform", Name: "compress", Settings: map[string]string{"codec": "zstd"}}, {Kind: "sink", Name: "posix"}}}
	w, err := s.NewReceipts(receiptID, header)
	if err != nil {
		t.Fatal(err)
	}
	var want []ObjectReceipt
	for i := range 1000 {
		r := ObjectReceipt{Name: fmt.Sprintf("base/%s/data/%d \"é\"", receiptID, i), Size: int64(i) << 40, CRC32C: Checksum(i), StoredSize: int64(i), StoredCRC32C: 0xffffffff}
		want = append(want, r)
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(receiptsFile(s)); err == nil {
		t.Error("visible before Commit")
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	got, receipts, err := s.Receipts(receiptID)
	if err != nil {
		t.Fatal(err)
	}
	header.Format = ReceiptsFormat
	if d := cmp.Diff(header, got); d != "" {
		t.Error(d)
	}
	var read []ObjectReceipt
	for r, err := range receipts {
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, r)
	}
	if d := cmp.Diff(want, read); d != "" {
		t.Error(d)
	}
	for range receipts {
		break // stopping early is no error
	}
	// What lies beside backup.info makes no backup.
	if good, bad := listed(t, s); len(good)+len(bad) != 0 {
		t.Error(good, bad)
	}
	wantNoTemporaryFiles(t, s.Layout().BackupDirectory)
}

func TestAbortedReceiptsLeaveTheOldOnes(t *testing.T) {
	s := newServer(t)
	write(t, receiptsFile(s), "old\n")
	w, err := s.NewReceipts(receiptID, ReceiptsHeader{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []ObjectReceipt{{}, {Name: "../x"}, {Name: "/x"}, {Name: "x", Size: -1}, {Name: "x", StoredSize: -1}} {
		wantKind(t, w.Add(r), sdk.Invalid, string(receiptID))
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if read(t, receiptsFile(s)) != "old\n" {
		t.Error("the old ones are gone")
	}
	wantNoTemporaryFiles(t, s.Layout().BackupDirectory)
}

func TestBackupWithoutReceipts(t *testing.T) {
	_, _, err := newServer(t).Receipts(receiptID)
	wantKind(t, err, sdk.NotFound, string(receiptID))
}

func TestDamagedReceiptsAreReportedWithTheirLine(t *testing.T) {
	s := newServer(t)
	const header = `{"format":1,"chain":[]}` + "\n"
	const good = `{"name":"a","size":1,"crc32c":"00000001","stored_size":1,"stored_crc32c":"00000001","later_field":1}` + "\n"
	for content, want := range map[string]string{
		"":                                       "line 1",
		"\x00\x00\n":                             "line 1",
		"[]\n":                                   "line 1",
		header + good + "{":                      "line 3",
		header + `{"name":"../x"}` + "\n":        "line 2",
		header + `{"name":"/etc/x"}` + "\n":      "line 2",
		header + `{"name":"x","size":-1}` + "\n": "line 2",
		header + `{"name":"x","size":1e30}` + "\n":    "line 2",
		header + `{"name":"x","crc32c":"xyz"}` + "\n": "line 2",
		header + `{"name":"x","crc32c":"0000000A"}`:   "line 2",
		header + `{"name":"x","crc32c":"+0000001"}`:   "line 2",
		header + good + strings.Repeat("x", 2<<20):    "line 3",
	} {
		write(t, receiptsFile(s), content)
		_, receipts, err := s.Receipts(receiptID)
		if err == nil {
			for _, e := range receipts {
				err = e
			}
		}
		wantKind(t, err, sdk.Corrupt, string(receiptID), ReceiptsName, want, "still usable")
	}
	for _, content := range []string{`{"format":2}`, `{"format":0}`, `{}`} {
		write(t, receiptsFile(s), content+"\n")
		_, _, err := s.Receipts(receiptID)
		wantKind(t, err, sdk.Invalid, "format")
	}
}

func FuzzReceipts(f *testing.F) {
	f.Add([]byte(`{"format":1,"chain":[{"kind":"sink","name":"posix"}]}` + "\n" + `{"name":"a","size":1,"crc32c":"0000000a","stored_size":1,"stored_crc32c":"00000001"}` + "\n"))
	f.Add([]byte("{}\n{}"))
	s := newServer(f)
	if err := os.MkdirAll(s.Directory(receiptID), 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		write(t, receiptsFile(s), string(content))
		_, receipts, err := s.Receipts(receiptID)
		if err != nil {
			return
		}
		for r, err := range receipts {
			if err == nil && (!sdk.ValidName(r.Name) || r.Size < 0 || r.StoredSize < 0) {
				t.Fatalf("%+v was accepted", r)
			}
		}
	})
}

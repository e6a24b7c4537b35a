package catalogue

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What Barman 3.4 in Python printed for a backup of this kind, and the times by
// ISO 8601, which came later.
func TestABackupAsJSONIsThatOfPython(t *testing.T) {
	b, err := parseInfo([]byte(`backup_label='START WAL LOCATION: 0/B000028\n'
begin_offset=40
begin_time=2026-11-21 17:50:15.224772+00:00
begin_wal=00000001000000000000000B
begin_xlog=0/B000028
compression=None
copy_stats={'copy_time': 1.33805, 'total_time': 1.5}
end_time=2026-11-01 07:50:16+01:00
included_files=['/etc/a.conf']
mode=postgres
size=23138694
status=DONE
tablespaces=[('other', 16384, '/srv/ts')]
timeline=1
version=150018
xlog_segment_size=16777216
`))
	if err != nil {
		t.Fatal(err)
	}
	b.ID = "20261121T175015"
	document, err := b.Document()
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(document, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
 "backup_id": "20261121T175015",
 "backup_label": "'START WAL LOCATION: 0/B000028\\n'",
 "begin_offset": 40,
 "begin_time": "Sat Nov 21 17:50:15 2026",
 "begin_time_iso": "2026-11-21T17:50:15.224772+00:00",
 "begin_wal": "00000001000000000000000B",
 "begin_xlog": "0/B000028",
 "compression": null,
 "config_file": null,
 "copy_stats": {
  "copy_time": 1.33805,
  "total_time": 1.5
 },
 "deduplicated_size": null,
 "end_offset": null,
 "end_time": "Sun Nov  1 07:50:16 2026",
 "end_time_iso": "2026-11-01T07:50:16+01:00",
 "end_wal": null,
 "end_xlog": null,
 "error": null,
 "hba_file": null,
 "ident_file": null,
 "included_files": [
  "/etc/a.conf"
 ],
 "mode": "postgres",
 "pgdata": null,
 "server_name": null,
 "size": 23138694,
 "status": "DONE",
 "systemid": null,
 "tablespaces": [
  [
   "other",
   16384,
   "/srv/ts"
  ]
 ],
 "timeline": 1,
 "version": 150018,
 "xlog_segment_size": 16777216
}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

package retention_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/retention"
)

// today is when the tests judge; backup "20" ended on the 20th, a day before.
var today = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func done(day int) retention.Backup {
	return retention.Backup{ID: fmt.Sprintf("%02d", day), Done: true, End: time.Date(2026, 11, day, 11, 0, 0, 0, time.UTC)}
}

func kept(day int, keep retention.Keep) retention.Backup {
	b := done(day)
	b.Keep = keep
	return b
}

func waiting(day int) retention.Backup {
	b := done(day)
	b.Done = false
	return b
}

func incremental(day, root int) retention.Backup {
	b := done(day)
	b.Root = fmt.Sprintf("%02d", root)
	return b
}

func TestAPolicyJudgesBackups(t *testing.T) {
	const (
		valid, obsolete, potentially = retention.Valid, retention.Obsolete, retention.PotentiallyObsolete
		full, standalone, unjudged   = retention.KeptFull, retention.KeptStandalone, retention.Unjudged
	)
	type verdicts = map[string]retention.Verdict
	tests := []struct {
		name, policy string
		minimum      int
		backups      []retention.Backup
		want         verdicts
	}{
		{"no policy", "", 0, []retention.Backup{done(1), done(2)}, verdicts{"01": unjudged, "02": unjudged}},
		{"nothing", "REDUNDANCY 1", 0, nil, verdicts{}},
		{"the newest are kept", "REDUNDANCY 2", 0, []retention.Backup{done(1), done(2), done(3)}, verdicts{"01": obsolete, "02": valid, "03": valid}},
		{"at least the minimum", "REDUNDANCY 1", 2, []retention.Backup{done(1), done(2), done(3)}, verdicts{"01": obsolete, "02": valid, "03": valid}},
		{"what is not complete does not count", "REDUNDANCY 1", 0, []retention.Backup{done(1), done(2), waiting(3)}, verdicts{"01": obsolete, "02": valid, "03": unjudged}},
		{"kept ones count", "REDUNDANCY 2", 0, []retention.Backup{kept(1, "full"), done(2), kept(3, "standalone"), done(4)},
			verdicts{"01": full, "02": obsolete, "03": standalone, "04": valid}},
		{"an unknown kind of keeping keeps", "REDUNDANCY 1", 0, []retention.Backup{kept(1, "whatever"), done(2)}, verdicts{"01": full, "02": valid}},
		{"the first one before the window is needed", "RECOVERY WINDOW OF 2 DAYS", 0, []retention.Backup{done(17), done(18), done(20)},
			verdicts{"17": obsolete, "18": valid, "20": valid}},
		{"all are older than the window", "RECOVERY WINDOW OF 1 DAY", 0, []retention.Backup{done(1), done(2)}, verdicts{"01": obsolete, "02": valid}},
		{"the minimum beyond the window", "RECOVERY WINDOW OF 1 DAY", 3, []retention.Backup{done(1), done(2), done(3), done(4)},
			verdicts{"01": obsolete, "02": potentially, "03": potentially, "04": valid}},
		{"kept beyond the window", "RECOVERY WINDOW OF 1 DAY", 2, []retention.Backup{done(1), kept(2, "standalone"), done(3)},
			verdicts{"01": obsolete, "02": standalone, "03": valid}},
		{"incremental ones share the fate of their root", "REDUNDANCY 1", 0, []retention.Backup{done(1), incremental(2, 1), done(3), incremental(4, 3)},
			verdicts{"01": obsolete, "02": obsolete, "03": valid, "04": valid}},
		{"on a root that is kept", "REDUNDANCY 1", 0, []retention.Backup{kept(1, "full"), incremental(2, 1), kept(3, "standalone"), incremental(4, 3), done(5)},
			verdicts{"01": full, "02": valid, "03": standalone, "04": obsolete, "05": valid}},
		{"on a root that is kept and inside", "RECOVERY WINDOW OF 5 DAYS", 0, []retention.Backup{kept(19, "standalone"), incremental(20, 19)},
			verdicts{"19": standalone, "20": valid}},
		{"a root that is gone", "REDUNDANCY 1", 0, []retention.Backup{incremental(2, 1), done(3)}, verdicts{"02": unjudged, "03": valid}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			policy, err := retention.Parse(test.policy)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, policy.Judge(test.backups, test.minimum, today)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

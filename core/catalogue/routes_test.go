package catalogue

import (
	"fmt"
	"testing"
)

func TestARouteEndsAtTheFirstGapWithWALBehindIt(t *testing.T) {
	const backup = "20260101T000000 1 2-3"
	for name, test := range map[string]struct {
		world
		timeline int
		want     string
	}{
		"whole":                        {world{backups: backup, archive: "1: 2-6"}, 1, "until 7 of 1"},
		"a gap":                        {world{backups: backup, archive: "1: 2-4 6-8"}, 1, "until 5 of 1, missing 5, behind 6"},
		"a gap in the backup":          {world{backups: backup, archive: "1: 2 4"}, 1, "until 3 of 1, missing 3, behind 4, lacking 3"},
		"the backup's end is to come":  {world{backups: backup, archive: "1: 2"}, 1, "until 3 of 1, lacking 3 so far"},
		"nothing has come":             {world{backups: backup}, 1, "until 2 of 1, lacking 2 so far"},
		"what waits is there":          {world{backups: backup, archive: "1: 2-4", incoming: "1: 5", streaming: "1: 6"}, 1, "until 7 of 1"},
		"along a child":                {world{backups: backup, histories: "2: 1@5", archive: "1: 2-9\n2: 5-7"}, 2, "until 8 of 2"},
		"a gap before the child":       {world{backups: backup, histories: "2: 1@5", archive: "1: 2-3\n2: 5-7"}, 2, "until 4 of 1, missing 4, behind 5"},
		"a child that has only begun":  {world{backups: backup, histories: "2: 1@5", archive: "1: 2-4"}, 2, "until 5 of 1"},
		"a child, and its last parent": {world{backups: backup, histories: "2: 1@5", archive: "1: 2-3"}, 2, "until 4 of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.build(t)
			routes, err := s.Routes(test.segmentSize(), ContinuityOptions{Timelines: test.timelines(t)})
			if err != nil {
				t.Fatal(err)
			}
			b, err := s.Resolve(ShortcutLatest)
			if err != nil {
				t.Fatal(err)
			}
			to := b.Timeline
			if test.timeline == 2 {
				to = 2
			}
			if !routes.Leads(b, to) || routes.Newest(1) != to {
				t.Errorf("it does not lead there, or the newest is %d", routes.Newest(1))
			}
			r, err := routes.Follow(b, to)
			if err != nil {
				t.Fatal(err)
			}
			short := func(name string) string { return name[len(name)-1:] }
			got := fmt.Sprintf("until %d of %d", uint64(r.Until)/uint64(test.segmentSize()), r.UntilTimeline)
			if r.Missing != "" {
				got += ", missing " + short(r.Missing) + ", behind " + short(r.Behind)
			}
			if r.Lacking != "" {
				got += ", lacking " + short(r.Lacking)
			}
			if r.Early {
				got += " so far"
			}
			if got != test.want {
				t.Errorf("%s; want %s", got, test.want)
			}
		})
	}
}

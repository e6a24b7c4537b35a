package retention_test

import (
	"testing"
	"time"

	"github.com/barman-go/barman/core/retention"
)

func TestParseReadsEveryKindOfPolicy(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		text   string
		want   retention.Policy
		print  string
		period time.Duration
	}{
		{"", retention.Policy{}, "", 0},
		{"REDUNDANCY 3", retention.Policy{Redundancy: 3}, "REDUNDANCY 3", 0},
		{" redundancy\t1 ", retention.Policy{Redundancy: 1}, "REDUNDANCY 1", 0},
		{"RECOVERY WINDOW OF 7 DAYS", retention.Policy{Window: 7, Unit: retention.Days}, "RECOVERY WINDOW OF 7 DAYS", 7 * day},
		{"recovery window of 1 week", retention.Policy{Window: 1, Unit: retention.Weeks}, "RECOVERY WINDOW OF 1 WEEKS", 7 * day},
		{"Recovery Window Of 2 Months", retention.Policy{Window: 2, Unit: retention.Months}, "RECOVERY WINDOW OF 2 MONTHS", 62 * day},
		{"RECOVERY WINDOW OF 3000 MONTHS", retention.Policy{Window: 3000, Unit: retention.Months}, "RECOVERY WINDOW OF 3000 MONTHS", 93000 * day},
	}
	for _, test := range tests {
		got, err := retention.Parse(test.text)
		if err != nil || got != test.want || got.String() != test.print || got.Period() != test.period {
			t.Errorf("%q gives %+v, %q, %v, %v", test.text, got, got, got.Period(), err)
		}
		if got.IsZero() != (test.text == "") {
			t.Errorf("%q: IsZero is %v", test.text, got.IsZero())
		}
	}
}

func TestParseRefusesWhatIsNoPolicy(t *testing.T) {
	for _, text := range []string{
		"REDUNDANCY", "REDUNDANCY 0", "REDUNDANCY -1", "REDUNDANCY 3 DAYS", "REDUNDANCY 99999999999999999999", "RECOVERY WINDOW OF 7",
		"RECOVERY WINDOW OF 7 HOURS", "RECOVERY WINDOW OF 7 YEARS", "RECOVERY WINDOW OF x DAYS", "RECOVERY WINDOW OF 0 DAYS", "7 DAYS",
		"REDUNDANCY +3", "REDUNDANCY 3.0", "REDUNDANCY 3,", "REDUNDANCY 0x3", "REDUNDANCY ３", "REDUNDANCY 3001", "REDUNDANCY3", "REDUNDANCE 3", "3", "None", "all",
		"RECOVERY WINDOW OF 7DAYS", "RECOVERY WINDOW 7 DAYS", "RECOVERY WINDOW OF -7 DAYS", "RECOVERY WINDOW OF 1.5 DAYS", "RECOVERY WINDOW OF 7 DAYSS", "RECOVERY WINDOW OF DAYS",
		"RECOVERY WINDOW OF 7 DAYS AGO", "RECOVERY WINDOW OF 1 WEEK 2 DAYS", "REDUNDANCY 2, RECOVERY WINDOW OF 7 DAYS", "\x00", "REDUNDANCY 3\x00", "'REDUNDANCY 3'",
	} {
		if got, err := retention.Parse(text); err == nil {
			t.Errorf("%q gives %v", text, got)
		} else if !got.IsZero() {
			t.Errorf("%q gives %v beside its error", text, got)
		}
	}
}

func TestParseIntervalCountsHoursToMonths(t *testing.T) {
	tests := map[string]time.Duration{"1 hour": time.Hour, "2 DAYS": 48 * time.Hour, "1 WEEK": 168 * time.Hour, "1 month": 744 * time.Hour}
	for text, want := range tests {
		if got, err := retention.ParseInterval(text); err != nil || got != want {
			t.Errorf("%q gives %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "DAYS", "0 DAYS", "1 YEAR", "1 DAY AGO", "-1 DAYS"} {
		if got, err := retention.ParseInterval(text); err == nil {
			t.Errorf("%q gives %v", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("REDUNDANCY 3")
	f.Add("recovery window of 7 days")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := retention.Parse(text)
		if err != nil {
			return
		}
		if again, err := retention.Parse(p.String()); err != nil || again != p {
			t.Errorf("%q prints %q, which gives %v, %v", text, p, again, err)
		}
		if p.Period() < 0 {
			t.Errorf("%q gives the period %v", text, p.Period())
		}
	})
}

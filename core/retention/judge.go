package retention

import (
	"cmp"
	"slices"
	"time"
)

// Verdict is what a policy says of a backup, as Barman prints it.
type Verdict string

const (
	// Unjudged: no policy, or a backup that is not complete.
	Unjudged Verdict = "-"
	// Valid: the policy wants it kept.
	Valid Verdict = "VALID"
	// Obsolete: it may be deleted.
	Obsolete Verdict = "OBSOLETE"
	// PotentiallyObsolete: only the minimum redundancy keeps it.
	PotentiallyObsolete Verdict = "OBSOLETE*"
	// KeptFull: somebody wants it kept, with all WAL from its begin on.
	KeptFull Verdict = "KEEP:FULL"
	// KeptStandalone: somebody wants it kept, with the WAL it needs itself.
	KeptStandalone Verdict = "KEEP:STANDALONE"
)

// Keep is how a backup is kept whatever the policy says.
type Keep string

// Values of Keep, as the catalogue has them; empty is not kept.
const (
	KeepFull       Keep = "full"
	KeepStandalone Keep = "standalone"
)

func (k Keep) verdict() Verdict {
	if k == KeepStandalone {
		return KeptStandalone
	}
	return KeptFull // also of a value that nobody knows: rather too much is kept
}

// Backup is what a policy has to know of a backup.
type Backup struct {
	// ID sorts backups by time.
	ID string
	// Done: the copy and the WAL that it needs are there.
	Done bool
	// End is when the copy ended.
	End time.Time
	// Keep is how it is kept; empty if it is not.
	Keep Keep
	// Root is the ID of the full backup that an incremental one builds on; empty
	// for all others.
	Root string
}

// Judge returns what the policy says of each backup, by ID. minimum is how many
// complete backups are kept in any case. Incremental backups share the fate of
// their root. A window counts back from now; the newest backup that is older
// than it is needed to recover to its beginning.
func (p Policy) Judge(backups []Backup, minimum int, now time.Time) map[string]Verdict {
	verdicts := make(map[string]Verdict, len(backups))
	for _, b := range backups {
		verdicts[b.ID] = Unjudged
	}
	if p.IsZero() {
		return verdicts
	}
	roots := slices.DeleteFunc(slices.Clone(backups), func(b Backup) bool { return b.Root != "" || !b.Done })
	slices.SortFunc(roots, func(a, b Backup) int { return cmp.Compare(b.ID, a.ID) }) // the newest first
	inside := map[string]bool{}
	if p.Redundancy > 0 {
		p.judgeRedundancy(roots, minimum, verdicts, inside)
	} else {
		p.judgeWindow(roots, minimum, now, verdicts, inside)
	}
	for _, b := range backups {
		if b.Root != "" && b.Done {
			verdicts[b.ID] = inherited(verdicts[b.Root], inside[b.Root])
		}
	}
	return verdicts
}

func (p Policy) judgeRedundancy(roots []Backup, minimum int, verdicts map[string]Verdict, inside map[string]bool) {
	for i, b := range roots {
		inside[b.ID] = i < max(p.Redundancy, minimum)
		switch {
		case b.Keep != "":
			verdicts[b.ID] = b.Keep.verdict()
		case inside[b.ID]:
			verdicts[b.ID] = Valid
		default:
			verdicts[b.ID] = Obsolete
		}
	}
}

func (p Policy) judgeWindow(roots []Backup, minimum int, now time.Time, verdicts map[string]Verdict, inside map[string]bool) {
	begin := now.Add(-p.Period())
	reached := false // a backup that ended before the window begins was met
	for i, b := range roots {
		inside[b.ID] = !reached
		switch {
		case b.Keep != "":
			verdicts[b.ID] = b.Keep.verdict()
		case !reached:
			verdicts[b.ID] = Valid
		case i < minimum:
			verdicts[b.ID] = PotentiallyObsolete
		default:
			verdicts[b.ID] = Obsolete
		}
		reached = reached || b.End.Before(begin)
	}
}

// inherited is the verdict on an incremental backup, from that on its root and
// whether the root is one that the policy itself wants.
func inherited(root Verdict, inside bool) Verdict {
	switch {
	case root == KeptFull, root == KeptStandalone && inside:
		return Valid
	case root == KeptStandalone:
		return Obsolete
	case root == "":
		return Unjudged // its root is missing
	}
	return root
}

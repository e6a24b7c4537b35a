package stored

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// baseSeries are the archives of the data directory.
const baseSeries = "base"

// seriesOf tells which archive a name stands for: base and base_0002 are the first
// and the third of the data directory, 16400 is the first of a tablespace.
func seriesOf(stem string) (series string, number int, ok bool) {
	series, digits, split := strings.Cut(stem, "_")
	if split {
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || n == 0 || len(digits) < 4 {
			return "", 0, false
		}
		number = int(n)
	}
	if _, err := strconv.ParseUint(series, 10, 32); err != nil && series != baseSeries {
		return "", 0, false
	}
	return series, number, true
}

// archives are the numbers of those that are there, by series.
type archives map[string][]int

func (a *archives) add(series string, number int) {
	if *a == nil {
		*a = archives{}
	}
	(*a)[series] = append((*a)[series], number)
}

func (a archives) has(series string) bool { return len(a[series]) > 0 }

// complete tells whether archives are missing: one within a series, or a whole
// series.
func (a archives) complete(b *catalogue.Backup, found []host.Selection) error {
	series := []string{baseSeries}
	for _, t := range b.Tablespaces {
		series = append(series, strconv.FormatUint(uint64(t.OID), 10))
	}
	for _, name := range series {
		numbers := a[name]
		slices.Sort(numbers)
		for i := range max(1, len(numbers)) {
			if i >= len(numbers) || numbers[i] != i {
				return sdk.Errorf(sdk.Corrupt, "the store has %d tar files of backup %s, and %s is not among them", len(found), b.ID, archiveName(name, i))
			}
		}
	}
	return nil
}

// undiminished tells whether archives are missing of which there are receipts.
func undiminished(s *server.Server, b *catalogue.Backup, found []host.Selection) error {
	there := map[string]bool{}
	for _, selection := range found {
		there[selection.Name] = true
	}
	_, receipts, err := s.Catalogue.Receipts(b.ID)
	if sdk.KindOf(err) == sdk.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	for receipt, err := range receipts {
		if err != nil {
			return err
		}
		if name := strings.TrimPrefix(receipt.Name, catalogue.BackupPrefix(b.ID)+"data/"); strings.Contains(name, ".tar") && !there[receipt.Name] {
			return sdk.Errorf(sdk.Corrupt, "the store has %d tar files of backup %s, and %s is not among them", len(found), b.ID, name)
		}
	}
	return nil
}

func archiveName(series string, number int) string {
	if number == 0 {
		return series + ".tar"
	}
	return fmt.Sprintf("%s_%04d.tar", series, number)
}

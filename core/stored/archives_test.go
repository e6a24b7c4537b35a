package stored

import (
	"fmt"
	"strings"
	"testing"
)

func TestAnArchivesNameTellsItsPlaceInASeries(t *testing.T) {
	for stem, want := range map[string]string{
		"base": "base 0", "base_0001": "base 1", "16400": "16400 0", "16400_0012": "16400 12", "base_10000": "base 10000",
		"base_1": "", "base_0000": "", "base_": "", "base_00x1": "", "other": "", "other_0001": "", "": "", "99999999999": "", "base_0001_0002": "",
	} {
		got := ""
		if series, number, ok := seriesOf(stem); ok {
			got = fmt.Sprint(series, " ", number)
		}
		if got != want {
			t.Errorf("%q is %q, want %q", stem, got, want)
		}
	}
}

func FuzzASeriesIsReadAsItIsWritten(f *testing.F) {
	f.Add("base_0001")
	f.Add("16400")
	f.Fuzz(func(t *testing.T, stem string) {
		series, number, ok := seriesOf(stem)
		if !ok {
			return
		}
		again, same, ok := seriesOf(strings.TrimSuffix(archiveName(series, number), ".tar"))
		if !ok || again != series || same != number {
			t.Errorf("%q is %s %d, which is written %s", stem, series, number, archiveName(series, number))
		}
	})
}

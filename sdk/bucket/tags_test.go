package bucket

import "testing"

func TestHistoryFilesHaveTagsOfTheirOwn(t *testing.T) {
	tags := Tags{Objects: map[string]string{"of": "objects"}, History: map[string]string{"of": "history"}}
	for key, want := range map[string]string{
		"p/main/wals/00000002.history":                              "history",
		"p/main/wals/00000002.history.gz":                           "history",
		"main/wals/0000000100000000/000000010000000000000001":       "objects",
		"main/wals/0000000100000000/000000010000000000000001.00.gz": "objects",
		"main/base/20260102T030405/backup.info":                     "objects",
		"00000002.history/base/data.tar":                            "objects",
	} {
		if got := tags.Of(key)["of"]; got != want {
			t.Errorf("%s has the tags of %s, not of %s", key, got, want)
		}
	}
	tags.History = nil
	if got := tags.Of("main/wals/00000002.history")["of"]; got != "objects" {
		t.Errorf("without tags for them, history files have those of %q", got)
	}
}

package catalogue

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Document is the backup in the form in which Barman in Python prints it as JSON:
// the keys of backup.info with numbers, lists and objects where there are some,
// times as ctime prints them and once more by ISO 8601, and the key backup_id.
// The label stays a literal of Python.
func (b *Backup) Document() (map[string]any, error) {
	document := map[string]any{"backup_id": b.ID}
	for _, f := range infoFields() {
		value, err := f.format(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.key, err)
		}
		switch {
		case value == nullText && f.optional && !b.present[f.key]:
		case value == nullText:
			document[f.key] = nil
		case slices.Contains(numbers(), f.key):
			if document[f.key], err = strconv.ParseInt(value, 10, 64); err != nil {
				return nil, fmt.Errorf("%s: %w", f.key, err)
			}
		default:
			document[f.key] = value
		}
	}
	for key, t := range map[string]time.Time{"begin_time": b.BeginTime, "end_time": b.EndTime} {
		if !t.IsZero() {
			document[key], document[key+"_iso"] = t.Format(time.ANSIC), t.Format("2006-01-02T15:04:05.999999-07:00")
		}
	}
	for key, d := range map[string]Dict{"copy_stats": b.CopyStats, "snapshots_info": b.SnapshotsInfo} {
		if len(d) > 0 {
			document[key] = JSONValue(d)
		}
	}
	if len(b.IncludedFiles) > 0 {
		document["included_files"] = b.IncludedFiles
	}
	if len(b.Tablespaces) > 0 {
		var tablespaces [][]any
		for _, t := range b.Tablespaces {
			tablespaces = append(tablespaces, []any{t.Name, t.OID, t.Location})
		}
		document["tablespaces"] = tablespaces
	}
	return document, nil
}

// numbers are the keys whose values are numbers.
func numbers() []string {
	return []string{"begin_offset", "cluster_size", "deduplicated_size", "end_offset", "size", "timeline", "version", "xlog_segment_size"}
}

// JSONValue turns a literal of Python into what encoding/json renders alike; a
// dictionary that is not there is null.
func JSONValue(v any) any {
	list := func(items []any) []any {
		all := make([]any, len(items))
		for i, item := range items {
			all[i] = JSONValue(item)
		}
		return all
	}
	switch v := v.(type) {
	case Dict:
		if v == nil {
			return nil
		}
		object := map[string]any{}
		for _, pair := range v {
			object[fmt.Sprint(pair.Key)] = JSONValue(pair.Value)
		}
		return object
	case List:
		return list(v)
	case Tuple:
		return list(v)
	}
	return v
}

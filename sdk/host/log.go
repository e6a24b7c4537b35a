package host

import (
	"bytes"
	"encoding/json"
	"sort"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
)

const (
	maxLogLine   = 64 << 10
	maxLastLines = 10
)

// logRelay reads a plugin's standard error: structured lines are logged again
// under the stage's name, others as they are. The last ones are kept to explain
// a crash.
type logRelay struct {
	logger hclog.Logger

	mu      sync.Mutex
	partial []byte
	last    []string
}

// Write takes what the plugin wrote.
func (l *logRelay) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		end := bytes.IndexByte(l.partial, '\n')
		if end < 0 && len(l.partial) > maxLogLine {
			end = maxLogLine
		}
		if end < 0 {
			return len(p), nil
		}
		l.line(strings.TrimRight(string(l.partial[:end]), "\r\n"))
		l.partial = l.partial[min(end+1, len(l.partial)):]
	}
}

func (l *logRelay) line(text string) {
	if text == "" {
		return
	}
	var entry map[string]any
	if json.Unmarshal([]byte(text), &entry) != nil || entry["@message"] == nil {
		l.keep(text)
		l.logger.Info(text)
		return
	}
	message, _ := entry["@message"].(string)
	level, _ := entry["@level"].(string)
	var keys []string
	for key := range entry {
		if !strings.HasPrefix(key, "@") {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	var pairs []any
	for _, key := range keys {
		pairs = append(pairs, key, entry[key])
	}
	if hclog.LevelFromString(level) >= hclog.Error {
		l.keep(message)
	}
	l.logger.Log(hclog.LevelFromString(level), message, pairs...)
}

func (l *logRelay) keep(text string) {
	l.last = append(l.last, text)
	if len(l.last) > maxLastLines {
		l.last = l.last[1:]
	}
}

// lastLines is the end of what the plugin had to say.
func (l *logRelay) lastLines() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}

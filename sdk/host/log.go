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

// logRelay takes the lines that a plugin writes to its standard error:
// structured ones are logged again under the stage's name, others as they are.
// The last ones are kept to explain a crash.
type logRelay struct {
	logger hclog.Logger

	mu   sync.Mutex
	last []string
	// doom is the first line of a panic, which the traces of goroutines would
	// push out of the last lines.
	doom string
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
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.doom == "" && (strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ")) {
		l.doom = text
	}
	l.last = append(l.last, text)
	if len(l.last) > maxLastLines {
		l.last = l.last[1:]
	}
}

// lastLines is the end of what the plugin had to say.
func (l *logRelay) lastLines() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.doom != "" {
		return l.doom
	}
	return strings.Join(l.last, "\n")
}

// lineWriter cuts a stream into lines.
type lineWriter struct {
	line    func(text string)
	mu      sync.Mutex
	partial []byte
}

// Write takes what the plugin wrote.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partial = append(w.partial, p...)
	for {
		end, skip := bytes.IndexByte(w.partial, '\n'), 1
		if end < 0 && len(w.partial) >= maxLogLine {
			end, skip = maxLogLine, 0
		}
		if end < 0 {
			return len(p), nil
		}
		w.line(strings.TrimRight(string(w.partial[:end]), "\r\n"))
		w.partial = w.partial[end+skip:]
	}
}

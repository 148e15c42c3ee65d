package cli

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mailark/internal/limit"
	"mailark/internal/session"
	"mailark/internal/session/wire"
)

// slowest is the lowest --bwlimit. Less is rather a forgotten K or M.
const slowest = 1000

// Limits are how fast a run may go, how much it may move and how long it may take.
type Limits struct {
	bandwidth size
	transfer  size
	duration  time.Duration
}

// Section returns the flags of the limits.
func (l *Limits) Section() Section {
	fs := NewFlags()
	fs.Var(&l.bandwidth, "bwlimit", "move at most `RATE` octets a second over all connections, both ways together: "+
		"500K, 2M (K, M and G count by 1000, Ki, Mi and Gi by 1024)")
	fs.Var(&l.transfer, "max-transfer", "stop when `SIZE` octets of mail have been moved, such as 500M; run again to go on")
	fs.DurationVar(&l.duration, "max-duration", 0, "stop after this `TIME`, such as 2h30m; run again to go on")
	return Section{"Limits", fs}
}

// Apply sets the pace of a run's connections and returns when the run is to stop, or what cannot be meant.
func (l *Limits) Apply(o *session.Options) (limit.Limits, error) {
	switch {
	case l.bandwidth > 0 && l.bandwidth < slowest:
		return limit.Limits{}, &UsageError{
			Text: "--bwlimit " + l.bandwidth.String() + " is less than 1,000 octets a second",
			Hint: "500K is 500,000 octets a second, 2M is two million",
		}
	case l.duration < 0:
		return limit.Limits{}, usagef("--max-duration %v: want a positive time", l.duration)
	case l.bandwidth > 0:
		o.Pace = wire.NewPace(int64(l.bandwidth))
	}
	return limit.Limits{Transfer: int64(l.transfer), Duration: l.duration}, nil
}

// size is a number of octets as people write it; 0: no limit. It is a flag.
type size int64

var _ pflag.Value = (*size)(nil)

var errSize = errors.New("want a number such as 800K, 1.5M, 2G or 100Mi, or 0 for no limit")

func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*s), 10)
}

func (s *size) Type() string { return "size" }

func (s *size) Set(text string) error {
	n, err := parseSize(text)
	if err == nil {
		*s = size(n)
	}
	return err
}

// parseSize reads a number with an optional unit: K, M, G, T by 1000, Ki, Mi, Gi, Ti by 1024, each with or
// without B behind it, in any case.
func parseSize(text string) (int64, error) {
	end := strings.LastIndexAny(text, "0123456789.") + 1
	digits, unit := text[:end], strings.ToLower(strings.TrimSpace(text[end:]))
	unit = strings.TrimSuffix(unit, "b")
	base := 1000.0
	if strings.HasSuffix(unit, "i") {
		base, unit = 1024, strings.TrimSuffix(unit, "i")
		if unit == "" {
			return 0, errSize
		}
	}
	power := strings.Index("kmgt", unit) + 1
	if unit == "" {
		power = 0
	} else if power == 0 || len(unit) > 1 {
		return 0, errSize
	}
	if strings.Trim(digits, "0123456789.") != "" { // what ParseFloat would take too: signs, exponents, hexadecimals
		return 0, errSize
	}
	n, err := strconv.ParseFloat(digits, 64)
	if n = n * math.Pow(base, float64(power)); err != nil || n >= 1<<62 {
		return 0, errSize
	}
	return int64(math.Round(n)), nil
}

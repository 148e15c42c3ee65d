package limit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTransfer(t *testing.T) {
	ctx, c := Limits{Transfer: 100}.Watch(t.Context())
	defer c.Stop()
	c.Add(99)
	if ctx.Err() != nil {
		t.Fatal("ended below the limit")
	}
	c.Add(1)
	var e *Error
	if cause := context.Cause(ctx); !errors.As(cause, &e) || e.Error() != "stopped at --max-transfer 100 B" || !errors.Is(cause, context.Canceled) {
		t.Errorf("ended by %v", cause)
	}
}

func TestDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, c := Limits{Duration: 90 * time.Minute}.Watch(t.Context())
		defer c.Stop()
		time.Sleep(90*time.Minute - 1)
		synctest.Wait()
		if ctx.Err() != nil {
			t.Fatal("ended before its time")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := context.Cause(ctx); got == nil || got.Error() != "stopped at --max-duration 1h30m" {
			t.Errorf("ended by %v", got)
		}
	})
}

// No limit, no end; and Stop leaves no timer that would end somebody else's context.
func TestUnlimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, c := Limits{}.Watch(t.Context())
		c.Add(1 << 60)
		time.Sleep(1000 * time.Hour)
		if ctx.Err() != nil {
			t.Errorf("ended by %v", context.Cause(ctx))
		}
		c.Stop()
		ctx, c = Limits{Duration: time.Hour}.Watch(t.Context())
		c.Stop()
		time.Sleep(2 * time.Hour)
		var e *Error
		if errors.As(context.Cause(ctx), &e) {
			t.Errorf("a stopped watch says %v", e)
		}
	})
}

func TestDurationWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Hour: "1h", 90 * time.Minute: "1h30m", 30 * time.Second: "30s", 10 * time.Minute: "10m", 610 * time.Second: "10m10s",
		time.Hour + 10*time.Second: "1h0m10s", 20 * time.Hour: "20h",
	} {
		if got := duration(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

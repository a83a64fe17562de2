// Takes events off the list that nginx fills, one at a time, at least once.
//
// Put your work into handle(). Needs redigo and Redis 6.2 or later; with
// Debian's golang-github-gomodule-redigo-dev:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o worker worker.go
//	REDIS_URL=redis://127.0.0.1:6379/0 QUEUE=esputnik:events ./worker
//
//	REDIS_URL, QUEUE  where the events are
//	WORKER_ID         unique among the workers of a queue (host name and pid)
//	ATTEMPTS          tries before an event goes to QUEUE:dead (3)
//	LEASE             seconds that handle() may take; a worker that is silent
//	                  for longer is taken for dead, its event given to
//	                  another (60)
//
// SIGTERM and SIGINT let the event at hand be finished first.
package main

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
)

// handle is your work. An error means: try again, later give up.
func handle(ctx context.Context, event []byte) error {
	var data struct {
		ActivityStatus     string      `json:"activityStatus"`
		ContactID          json.Number `json:"contactId"`
		IID                string      `json:"iid"`
		ExternalCustomerID string      `json:"externalCustomerId"`
	}
	if err := json.Unmarshal(event, &data); err != nil {
		return err
	}
	if data.ActivityStatus == "" {
		return errors.New("no activityStatus")
	}
	_, err := fmt.Printf("%s\t%s\t%s\t%s\n", data.ActivityStatus,
		data.ContactID, data.IID, data.ExternalCustomerID)
	return err
}

type worker struct {
	redis    redis.Conn
	url      string
	queue    string
	id       string
	attempts int
	lease    int
	nextBeat time.Time
}

func (w *worker) processing(id string) string { return w.queue + ":processing:" + id }
func (w *worker) alive(id string) string      { return w.queue + ":worker:" + id }

func (w *worker) run(ctx context.Context) {
	restore := func() error { return w.takeBack(w.id) } // a predecessor's event
	for ctx.Err() == nil {
		conn, err := redis.DialURL(w.url,
			redis.DialConnectTimeout(5*time.Second),
			redis.DialReadTimeout(10*time.Second),
			redis.DialWriteTimeout(10*time.Second))
		if err == nil {
			w.redis = conn
			if err = w.beat(); err == nil {
				err = restore()
			}
			if err == nil {
				// From now on what is found here was lost with a connection.
				restore = w.putBack
				err = w.consume(ctx)
			}
			conn.Close()
		}
		if err != nil {
			log.Printf("redis: %v", err)
			pause(ctx, time.Second)
		}
	}
}

func (w *worker) consume(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.beat(); err != nil {
			return err
		}
		event, err := redis.Bytes(w.redis.Do("BLMOVE",
			w.queue, w.processing(w.id), "LEFT", "RIGHT", 1))
		if err == redis.ErrNil {
			continue
		}
		if err == nil {
			err = w.process(ctx, event)
		}
		if err != nil {
			return err
		}
	}
	return w.leave()
}

// process returns errors of Redis only.
func (w *worker) process(ctx context.Context, event []byte) error {
	for attempt := 1; ; attempt++ {
		failure := handle(ctx, event)
		if failure == nil {
			break
		}
		log.Printf("attempt %d: %v", attempt, failure)
		if attempt == w.attempts {
			return w.bury(w.id, event, attempt, failure.Error())
		}
		pause(ctx, time.Second<<(attempt-1))
		if ctx.Err() != nil {
			return nil // leave puts it back
		}
		if err := w.beat(); err != nil {
			return err
		}
	}
	removed, err := redis.Int(w.redis.Do("LREM", w.processing(w.id), 1, event))
	if err == nil && removed == 0 {
		log.Print("took longer than LEASE: another worker has been given the event too")
	}
	return err
}

// beat, once a second, says that this worker lives and looks for others that
// do not.
func (w *worker) beat() error {
	if time.Now().Before(w.nextBeat) {
		return nil
	}
	workers := w.queue + ":workers"
	if _, err := w.redis.Do("SADD", workers, w.id); err != nil {
		return err
	}
	if _, err := w.redis.Do("SET", w.alive(w.id), "", "EX", w.lease); err != nil {
		return err
	}
	w.nextBeat = time.Now().Add(time.Second)

	// The lock is left to expire: one look per LEASE among all workers.
	_, err := redis.String(w.redis.Do("SET", w.queue+":reaper", w.id, "NX", "EX", w.lease))
	if err == redis.ErrNil {
		return nil
	}
	if err != nil {
		return err
	}
	ids, err := redis.Strings(w.redis.Do("SMEMBERS", workers))
	if err != nil {
		return err
	}
	for _, id := range ids {
		lives, err := redis.Bool(w.redis.Do("EXISTS", w.alive(id)))
		if err != nil {
			return err
		}
		if lives {
			continue
		}
		log.Printf("worker %s is dead", id)
		if err := w.takeBack(id); err != nil {
			return err
		}
		if _, err := w.redis.Do("SREM", workers, id); err != nil {
			return err
		}
	}
	return nil
}

// takeBack returns what a dead worker had at hand to the head of the queue;
// after ATTEMPTS deaths the event is held to be their cause.
func (w *worker) takeBack(id string) error {
	for {
		event, err := redis.Bytes(w.redis.Do("LINDEX", w.processing(id), -1))
		if err == redis.ErrNil {
			return nil
		}
		if err != nil {
			return err
		}
		counts, digest := w.queue+":deaths", fmt.Sprintf("%x", sha1.Sum(event))
		deaths, err := redis.Int(w.redis.Do("HINCRBY", counts, digest, 1))
		if err != nil {
			return err
		}
		if _, err := w.redis.Do("EXPIRE", counts, 86400); err != nil {
			return err
		}
		if deaths >= w.attempts {
			err = w.bury(id, event, deaths, "its worker died each time")
		} else {
			_, err = w.redis.Do("LMOVE", w.processing(id), w.queue, "RIGHT", "LEFT")
		}
		if err != nil {
			return err
		}
	}
}

func (w *worker) bury(id string, event []byte, attempts int, reason string) error {
	head, err := json.Marshal(map[string]interface{}{
		"reason":   reason,
		"attempts": attempts,
		"worker":   id,
		"time":     time.Now().UTC().Format(time.RFC3339),
	})
	if err != nil {
		return err
	}
	record := append(append(head, '\n'), event...)
	if _, err := w.redis.Do("RPUSH", w.queue+":dead", record); err != nil {
		return err
	}
	_, err = w.redis.Do("LREM", w.processing(id), 1, event)
	return err
}

func (w *worker) putBack() error {
	for {
		_, err := redis.Bytes(w.redis.Do("LMOVE", w.processing(w.id), w.queue, "RIGHT", "LEFT"))
		if err == redis.ErrNil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *worker) leave() error {
	if err := w.putBack(); err != nil {
		return err
	}
	if _, err := w.redis.Do("DEL", w.alive(w.id)); err != nil {
		return err
	}
	_, err := w.redis.Do("SREM", w.queue+":workers", w.id)
	return err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func number(name, fallback string) int {
	value, err := strconv.Atoi(env(name, fallback))
	if err != nil || value < 1 {
		log.Fatalf("%s must be a positive number", name)
	}
	return value
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	host, _ := os.Hostname()
	w := worker{
		url:      env("REDIS_URL", "redis://127.0.0.1:6379/0"),
		queue:    env("QUEUE", "esputnik:events"),
		id:       env("WORKER_ID", fmt.Sprintf("%s-%d", host, os.Getpid())),
		attempts: number("ATTEMPTS", "3"),
		lease:    number("LEASE", "60"),
	}
	w.run(ctx)
}

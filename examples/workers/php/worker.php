#!/usr/bin/env php
<?php
/*
 * Takes events off the list that nginx fills, one at a time, at least once.
 *
 * Put your work into handle(). Needs php-cli with pcntl, php-redis (phpredis)
 * and Redis 6.2 or later.
 *
 *     REDIS_URL=redis://127.0.0.1:6379/0 QUEUE=esputnik:events ./worker.php
 *
 * REDIS_URL, QUEUE  where the events are
 * WORKER_ID         unique among the workers of a queue (host name and pid)
 * ATTEMPTS          tries before an event goes to QUEUE:dead (3)
 * LEASE             seconds that handle() may take; a worker that is silent
 *                   for longer is taken for dead, its event given to
 *                   another (60)
 *
 * SIGTERM and SIGINT let the event at hand be finished first.
 */

declare(strict_types=1);

/* Your work. An exception means: try again, later give up. */
function handle(string $event): void
{
    $data = json_decode($event, true, 64,
                        JSON_THROW_ON_ERROR | JSON_BIGINT_AS_STRING);
    if (!isset($data['activityStatus'])) {
        throw new UnexpectedValueException('no activityStatus');
    }
    fwrite(STDOUT, implode("\t", [
        $data['activityStatus'], $data['contactId'], $data['iid'] ?? '-',
        $data['externalCustomerId'] ?? '-',
    ]) . "\n");
}

final class Worker
{
    private Redis $redis;
    private bool $stopping = false;
    private float $nextBeat = 0;

    public function __construct(
        private string $url,
        private string $queue,
        private string $id,
        private int $attempts,
        private int $lease,
    ) {
        pcntl_async_signals(true);
        foreach ([SIGTERM, SIGINT] as $signal) {
            pcntl_signal($signal, function (): void {
                $this->stopping = true;
            });
        }
    }

    public function run(): void
    {
        $started = false;
        while (!$this->stopping) {
            try {
                $this->connect();
                $this->beat();
                if (!$started) {
                    $this->takeBack($this->id); // a predecessor's event
                    $started = true;
                }
                $this->putBack(); // lost with a connection
                while (!$this->stopping) {
                    $this->beat();
                    $event = $this->command('blmove', $this->queue,
                        $this->processing($this->id), 'LEFT', 'RIGHT', '1');
                    if (is_string($event)) {
                        $this->work($event);
                    }
                }
                $this->leave();
            } catch (RedisException $e) {
                $this->log('redis: ' . $e->getMessage());
                $this->pause(1);
            }
        }
    }

    private function connect(): void
    {
        // parse_url() wants a host: unix:///path has none.
        $url = parse_url(preg_replace('#^((?:redis\+)?unix://[^/]*)/#',
                                      '$1localhost/', $this->url));
        $unix = str_ends_with($url['scheme'], 'unix');
        $host = $unix ? $url['path'] : $url['host'];
        if ($url['scheme'] === 'rediss') {
            $host = 'tls://' . $host;
        }
        parse_str($url['query'] ?? '', $query);
        $database = $query['db'] ?? ($unix ? 0 : trim($url['path'] ?? '', '/'));

        $this->redis = new Redis();
        $this->redis->connect($host, $unix ? -1 : ($url['port'] ?? 6379), 5.0);
        // The client repeats no command: a BLMOVE sent again after a lost
        // reply would leave an event behind in the processing list.
        $this->redis->setOption(Redis::OPT_MAX_RETRIES, 0);
        $this->redis->setOption(Redis::OPT_READ_TIMEOUT, 10.0);
        if (isset($url['pass'])) {
            $user = rawurldecode($url['user'] ?? '');
            $password = rawurldecode($url['pass']);
            $this->redis->auth($user === '' ? $password : [$user, $password]);
        }
        if ((int) $database !== 0) {
            $this->command('select', (string) (int) $database);
        }
    }

    /* Error replies are exceptions; a nil is false. */
    private function command(string $name, string ...$arguments): mixed
    {
        $this->redis->clearLastError();
        $reply = $this->redis->rawCommand($name, ...$arguments);
        if ($this->redis->getLastError() !== null) {
            throw new RedisException($this->redis->getLastError());
        }
        return $reply;
    }

    private function work(string $event): void
    {
        for ($attempt = 1; $attempt <= $this->attempts; $attempt++) {
            try {
                handle($event);
            } catch (Throwable $e) {
                $reason = get_class($e) . ': ' . $e->getMessage();
                $this->log("attempt $attempt: $reason");
                if ($attempt === $this->attempts) {
                    $this->bury($this->id, $event, $attempt, $reason);
                    return;
                }
                $this->pause(2 ** ($attempt - 1));
                if ($this->stopping) {
                    return; // leave() puts it back
                }
                $this->beat();
                continue;
            }
            $removed = $this->command('lrem', $this->processing($this->id),
                                      '1', $event);
            if ($removed === 0) {
                $this->log('took longer than LEASE: another worker has been '
                           . 'given the event too');
            }
            return;
        }
    }

    /* Once a second: says that this worker lives, and looks for others that
       do not. */
    private function beat(): void
    {
        if (microtime(true) < $this->nextBeat) {
            return;
        }
        $lease = (string) $this->lease;
        $this->command('sadd', "$this->queue:workers", $this->id);
        $this->command('set', $this->alive($this->id), '', 'ex', $lease);
        // The lock is left to expire: one look per LEASE among all workers.
        $locked = $this->command('set', "$this->queue:reaper", $this->id,
                                 'nx', 'ex', $lease);
        if ($locked) {
            foreach ($this->command('smembers', "$this->queue:workers") as $worker) {
                if ($this->command('exists', $this->alive($worker)) === 0) {
                    $this->log("worker $worker is dead");
                    $this->takeBack($worker);
                    $this->command('srem', "$this->queue:workers", $worker);
                }
            }
        }
        $this->nextBeat = microtime(true) + 1;
    }

    /* What a dead worker had at hand goes back to the head of the queue; after
       ATTEMPTS deaths the event is held to be their cause. */
    private function takeBack(string $worker): void
    {
        $list = $this->processing($worker);
        while (is_string($event = $this->command('lindex', $list, '-1'))) {
            $deaths = $this->command('hincrby', "$this->queue:deaths",
                                     sha1($event), '1');
            $this->command('expire', "$this->queue:deaths", '86400');
            if ($deaths >= $this->attempts) {
                $this->bury($worker, $event, $deaths, 'its worker died each time');
            } else {
                $this->command('lmove', $list, $this->queue, 'RIGHT', 'LEFT');
            }
        }
    }

    private function bury(string $worker, string $event, int $attempts,
                          string $reason): void
    {
        $head = json_encode([
            'reason' => $reason, 'attempts' => $attempts, 'worker' => $worker,
            'time' => gmdate('Y-m-d\TH:i:s\Z'),
        ], JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_UNICODE);
        $this->command('rpush', "$this->queue:dead", "$head\n$event");
        $this->command('lrem', $this->processing($worker), '1', $event);
    }

    private function putBack(): void
    {
        $list = $this->processing($this->id);
        while ($this->command('lmove', $list, $this->queue, 'RIGHT', 'LEFT'));
    }

    private function leave(): void
    {
        $this->putBack();
        $this->command('del', $this->alive($this->id));
        $this->command('srem', "$this->queue:workers", $this->id);
    }

    private function processing(string $worker): string
    {
        return "$this->queue:processing:$worker";
    }

    private function alive(string $worker): string
    {
        return "$this->queue:worker:$worker";
    }

    private function pause(int $seconds): void
    {
        $deadline = microtime(true) + $seconds;
        while (!$this->stopping && microtime(true) < $deadline) {
            usleep(100000);
        }
    }

    private function log(string $message): void
    {
        fwrite(STDERR, date('c') . " $message\n");
    }
}

(new Worker(
    getenv('REDIS_URL') ?: 'redis://127.0.0.1:6379/0',
    getenv('QUEUE') ?: 'esputnik:events',
    getenv('WORKER_ID') ?: gethostname() . '-' . getmypid(),
    (int) (getenv('ATTEMPTS') ?: 3),
    (int) (getenv('LEASE') ?: 60),
))->run();

#!/usr/bin/env ruby
# Takes events off the list that nginx fills, one at a time, at least once.
#
# Put your work into handle. Needs ruby-redis 4.3 or later and Redis 6.2 or
# later.
#
#     REDIS_URL=redis://127.0.0.1:6379/0 QUEUE=esputnik:events ./worker.rb
#
# REDIS_URL, QUEUE  where the events are
# WORKER_ID         unique among the workers of a queue (host name and pid)
# ATTEMPTS          tries before an event goes to QUEUE:dead (3)
# LEASE             seconds that handle may take; a worker that is silent for
#                   longer is taken for dead, its event given to another (60)
#
# SIGTERM and SIGINT let the event at hand be finished first.

require "digest"
require "json"
require "logger"
require "redis"
require "socket"
require "time"

$stdout.sync = true

# Your work. An exception means: try again, later give up.
def handle(event)
  data = JSON.parse(event)
  puts [data.fetch("activityStatus"), data["contactId"], data["iid"] || "-",
        data["externalCustomerId"] || "-"].join("\t")
end

class Worker
  def initialize(env)
    @url = env.fetch("REDIS_URL", "redis://127.0.0.1:6379/0")
    @queue = env.fetch("QUEUE", "esputnik:events")
    @id = env.fetch("WORKER_ID") { "#{Socket.gethostname}-#{Process.pid}" }
    @attempts = Integer(env.fetch("ATTEMPTS", "3"))
    @lease = Integer(env.fetch("LEASE", "60"))
    # The client repeats no command: a BLMOVE sent again after a lost reply
    # would leave an event behind in the processing list.
    @redis = Redis.new(url: @url, timeout: 10, connect_timeout: 5,
                       reconnect_attempts: 0)
    @log = Logger.new($stderr)
    @next_beat = 0
    @stopping = false
  end

  def stop
    @stopping = true
  end

  def run
    recover = -> { take_back(@id) } # a predecessor's event
    until @stopping
      begin
        beat
        recover.call
        # From now on what is found here was lost with a connection.
        recover = -> { put_back }
        until @stopping
          beat
          # Not Redis#blmove, which repeats itself after a lost reply.
          event = @redis.call("blmove", @queue, processing(@id), "LEFT",
                              "RIGHT", 1)
          work(event) if event
        end
        leave
      rescue Redis::BaseError => e
        @log.warn("redis: #{e.message}")
        @redis.close
        pause(1)
      end
    end
  end

  private

  def processing(worker)
    "#{@queue}:processing:#{worker}"
  end

  def alive(worker)
    "#{@queue}:worker:#{worker}"
  end

  def work(event)
    1.upto(@attempts) do |attempt|
      begin
        handle(event)
      rescue StandardError => e
        reason = "#{e.class}: #{e.message}"
        @log.warn("attempt #{attempt}: #{reason}")
        return bury(@id, event, attempt, reason) if attempt == @attempts
        pause(2**(attempt - 1))
        return if @stopping # leave puts it back
        beat
        next
      end
      if @redis.lrem(processing(@id), 1, event).zero?
        @log.warn("took longer than LEASE: another worker has been given " \
                  "the event too")
      end
      return
    end
  end

  # Once a second: says that this worker lives, and looks for others that do
  # not.
  def beat
    return if now < @next_beat
    @redis.sadd("#{@queue}:workers", [@id])
    @redis.set(alive(@id), "", ex: @lease)
    # The lock is left to expire: one look per LEASE among all workers.
    if @redis.set("#{@queue}:reaper", @id, nx: true, ex: @lease)
      @redis.smembers("#{@queue}:workers").each do |worker|
        next if @redis.exists?(alive(worker))
        @log.warn("worker #{worker} is dead")
        take_back(worker)
        @redis.srem("#{@queue}:workers", [worker])
      end
    end
    @next_beat = now + 1
  end

  # What a dead worker had at hand goes back to the head of the queue; after
  # ATTEMPTS deaths the event is held to be their cause.
  def take_back(worker)
    while (event = @redis.lindex(processing(worker), -1))
      digest = Digest::SHA1.hexdigest(event)
      deaths = @redis.hincrby("#{@queue}:deaths", digest, 1)
      @redis.expire("#{@queue}:deaths", 86_400)
      if deaths >= @attempts
        bury(worker, event, deaths, "its worker died each time")
      else
        @redis.lmove(processing(worker), @queue, "RIGHT", "LEFT")
      end
    end
  end

  def bury(worker, event, attempts, reason)
    head = JSON.generate("reason" => reason.scrub, "attempts" => attempts,
                         "worker" => worker, "time" => Time.now.utc.iso8601)
    @redis.rpush("#{@queue}:dead", "#{head}\n".b + event.b)
    @redis.lrem(processing(worker), 1, event)
  end

  def put_back
    nil while @redis.lmove(processing(@id), @queue, "RIGHT", "LEFT")
  end

  def leave
    put_back
    @redis.del(alive(@id))
    @redis.srem("#{@queue}:workers", [@id])
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  def pause(seconds)
    deadline = now + seconds
    sleep(0.1) until @stopping || now >= deadline
  end
end

worker = Worker.new(ENV)
%w[TERM INT].each { |signal| trap(signal) { worker.stop } }
worker.run

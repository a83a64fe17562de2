# Runs each event as a Sidekiq job (ruby-sidekiq 6 or later):
#
#     REDIS_URL=redis://127.0.0.1:6379/0 sidekiq -q esputnik -r ./esputnik_job.rb
#
# Retries, the dead set and the dashboard are Sidekiq's own.  The dashboard
# lists a queue once it is known: redis-cli sadd queues esputnik

require "sidekiq"

$stdout.sync = true

class EsputnikJob
  include Sidekiq::Worker

  def perform(event)
    puts [event.fetch("activityStatus"), event["contactId"],
          event["iid"] || "-", event["externalCustomerId"] || "-"].join("\t")
  end
end

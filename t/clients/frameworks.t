# Jobs for existing worker frameworks, by the lines of examples/frameworks
# alone: the framework itself runs what the module has pushed.

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/lib";
use Esputnik::Test;
use Consumer;

my %framework = (
    sidekiq => ['sidekiq', '-q', 'esputnik', '-c', 2, '-r',
                example('frameworks/sidekiq/esputnik_job.rb')],
    celery => [$Consumer::python, '-m', 'celery', '-A', 'esputnik_tasks',
               '--workdir', example('frameworks/celery'), 'worker',
               '-Q', 'esputnik', '-c', 1],
    resque => ['node', example('frameworks/resque/worker.js')],
);
my %list = (sidekiq => 'queue:esputnik', celery => 'esputnik',
            resque => 'resque:queue:esputnik');

my %redis = map { $_ => redis() } sort keys %framework;
my $nginx = nginx(
    vars => { ROOT => root(), map { uc $_ => $redis{$_}->url } keys %redis },
    server => <<'END');
client_max_body_size 1m;
location /sidekiq {
    esputnik_pass %%SIDEKIQ%%;
    include %%ROOT%%/examples/frameworks/sidekiq/nginx.conf;
}
location /celery {
    esputnik_pass %%CELERY%%;
    include %%ROOT%%/examples/frameworks/celery/nginx.conf;
}
location /resque {
    esputnik_pass %%RESQUE%%;
    include %%ROOT%%/examples/frameworks/resque/nginx.conf;
}
END

# Texts that an escape too few or too many would break.
my $hard = numbered(1, '"statusDescription":"\\\\\\"}\'$request_id \\u0000 {{x}} %s"');
my %worker;

for my $name (sort keys %framework) {
    my $body = "[$hard," . join(',', map { numbered($_) } 2 .. 300) . ']';
    accepted($nginx->post("/$name", $body), 300, "$name: jobs are pushed");
    is($redis{$name}->cmd('LLEN', $list{$name}), 300, "$name: to its queue");
    $worker{$name} = Consumer->start(argv => $framework{$name}, env => {
        REDIS_URL => $redis{$name}->url . '/0', COLUMNS => 200 });
}

# Celery passes what tasks print on as lines of its log.
sub done
{
    my ($name) = @_;
    my $text = $worker{$name}->_read('out') . $worker{$name}->errors;
    my @numbers = $text =~ /\bDELIVERED\t\d+\t-\t(\d+)$/mg;
    return @numbers;
}

for my $name (sort keys %framework) {
    ok(wait_for(sub { done($name) >= 300 }, slow(30)), "$name runs them")
        || diag(substr $worker{$name}->errors, 0, 3000);
    my @done = done($name);
    is(join(' ', sort { $a <=> $b } @done), join(' ', 1 .. 300),
       "$name: each once");
    accepted($nginx->post("/$name", '[' . numbered(301) . ']'), 1,
             "$name: one more");
    ok(wait_for(sub { done($name) >= 301 }, slow(15)), "$name runs it as it comes");
    is($redis{$name}->cmd('LLEN', $list{$name}), 0, "$name: the queue is empty");
}
is($redis{sidekiq}->cmd('GET', 'stat:processed') . ' '
   . ($redis{sidekiq}->cmd('GET', 'stat:failed') // 0), '301 0',
   'sidekiq has counted them, none failed')
    if wait_for(sub { ($redis{sidekiq}->cmd('GET', 'stat:processed') // 0) >= 301 },
                slow(15)) || fail('sidekiq counts');
is($redis{resque}->cmd('LLEN', 'resque:failed'), 0, 'resque: none failed');
is($redis{celery}->cmd('HLEN', 'unacked'), 0, 'celery: all acknowledged');
is($worker{$_}->stop(15), 0, "$_ ends") || diag($worker{$_}->errors)
    for sort keys %framework;

finish();

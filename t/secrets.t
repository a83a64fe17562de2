# What nobody may see, and what nobody may forge: passwords and tokens appear
# nowhere, even at nginx's debug level; log lines cannot be made by input; bytes
# of any kind in keys and values cannot break out of a command.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Process qw(spawn wait_exit);
use Esputnik::Test;

my %secret = (
    file => 'pw-in-file-5d1f', block => 'pw-in-block-77ac', url => 'pw-in-url-0e3b',
    wrong => 'pw-wrong-91c4', down => 'pw-down-c0de', spare => 'pw-renamed-4a4a',
    payload => 'ann-in-payload-e5e5', token => 'token-one-b16b', old => 'token-two-00d5', bad => 'token-bad-1337',
);
my @secrets = sort values %secret;
my $any = join '|', map { quotemeta } @secrets;

my $redis = redis();
# both as the default user's password and as users of their own
$redis->cmd('ACL', 'SETUSER', $_, 'on', ">$secret{$_}", '~*', '+@all') for qw(file block url);
my $closed = redis(args => ['--requirepass', 'none-of-ours'], password => 'none-of-ours');
# this one repeats what it does not know, arguments and all
my $renamed = redis(args => [map { ('--rename-command', $_, '') } qw(AUTH RPUSH)]);
my $down = Esputnik::Port::free_port();

my $nginx = nginx(
    level => 'debug', workers => 2,
    vars => { P => $redis->port, CLOSED => $closed->port, RENAMED => $renamed->port,
              DOWN => $down, %secret },
    files => {
        password => "$secret{file}\n", wrong => "$secret{wrong}\n", spare => "$secret{spare}\n",
        tokens => "$secret{token}\n$secret{old}\n",
    },
    http => <<'END',
log_format told '$esputnik_result|$esputnik_error|$esputnik_redis_addr';
access_log %%PREFIX%%/told.log told;
esputnik_redis file { server 127.0.0.1:%%P%%; user file; password_file %%PREFIX%%/password; }
esputnik_redis block { server 127.0.0.1:%%P%%; user block; password %%block%%; }
esputnik_redis wrong { server 127.0.0.1:%%CLOSED%%; password_file %%PREFIX%%/wrong; }
esputnik_redis wrong_user { server 127.0.0.1:%%P%%; user %%wrong%%; password_file %%PREFIX%%/wrong; }
esputnik_redis nobody { server 127.0.0.1:%%CLOSED%%; }
esputnik_redis without { server 127.0.0.1:%%RENAMED%%; }
esputnik_redis renamed { server 127.0.0.1:%%RENAMED%%; password_file %%PREFIX%%/spare; }
END
    server => <<'END');
location /file { esputnik_pass file; }
location /block { esputnik_pass block; }
location /url { esputnik_pass redis://url:%%url%%@127.0.0.1:%%P%%; }
location /wrong { esputnik_pass wrong; }
location /wrong_user { esputnik_pass wrong_user; }
location /wrong_url { esputnik_pass redis://:%%wrong%%@127.0.0.1:%%CLOSED%%/1; }
location /nobody { esputnik_pass nobody; }
location /renamed { esputnik_pass renamed; }
location /without { esputnik_pass without; }
location /down { esputnik_pass redis://u:%%down%%@127.0.0.1:%%DOWN%%/3; }
location /unix { esputnik_pass redis+unix://u:%%down%%@%%PREFIX%%/no.sock; }
location = /status { esputnik_status; }
location /token {
    esputnik_pass file;
    esputnik_token $http_x_webhook_token file=%%PREFIX%%/tokens;
}
END

my $answers = '';

sub post
{
    my ($uri, $want, @headers) = @_;
    my $event = event(1, qq("email":"$secret{payload}"));
    my $r = $nginx->post($uri, "[$event]", headers => \@headers);
    is($r->{status}, $want, "$uri: $want");
    $answers .= join "\n", %{ $r->{headers} }, $r->{body};
    return $r;
}

post($_, 200) for qw(/file /block /url);
like(post($_, 503)->{body}, qr/WRONGPASS/, "$_: says why") for qw(/wrong /wrong_user /wrong_url);
like(post('/nobody', 503)->{body}, qr/NOAUTH/, '/nobody: says why');
post($_, 503) for qw(/renamed /without /down /unix);
post('/token', 200, 'X-Webhook-Token' => $secret{$_}) for qw(token old);
post('/token', 401, 'X-Webhook-Token' => $secret{bad});
post('/token', 401);
ok(wait_for(sub { (() = $nginx->_read('told.log') =~ /\n/g) >= 15 }, slow(3)),
   'the access log has all of them');

# the processes, while they run
{
    my @pids = ($nginx->pid, $nginx->worker_pids);
    cmp_ok(scalar @pids, '>=', 3, 'the master and its workers') unless Esputnik::Env::valgrind();
    for my $what (qw(cmdline environ)) {
        my $all = '';
        for my $pid (@pids) {
            open my $in, '<', "/proc/$pid/$what" or next;
            local $/;
            $all .= <$in> // '';
        }
        isnt($all, '', "/proc/PID/$what can be read");
        unlike($all, qr/$any/, "no secret in /proc/PID/$what");
    }
}

unlike($answers, qr/$any/, 'no secret in an answer');
for my $form (['json', 'application/json', qr/"refusals"|unauthorized/],
              ['json, with its history', 'application/json', qr/"version":1/, '?history'],
              ['for Prometheus', 'text/plain; version=0.0.4', qr/unauthorized/],
              ['a page', 'text/html', qr/<html/])
{
    my ($name, $accept, $has, $query) = @$form;
    my $r = $nginx->get('/status' . ($query // ''), headers => [Accept => $accept]);
    like($r->{body}, $has, "the status, $name");
    unlike($r->{body}, qr/$any/, 'no secret in it');
}
unlike($nginx->_read('told.log') . join('', $nginx->access), qr/$any/,
       'no secret in the access log, nor in $esputnik_error');

# nginx itself logs request headers at debug level; that shows that this log
# has everything, and is the one place where a token may be
{
    my @lines = split /\n/, $nginx->error_log;
    ok(scalar(grep { /\[debug\].*http header: "X-Webhook-Token: \Q$secret{token}\E"/ } @lines),
       "nginx's own dump of the headers is there");
    my @told = grep { /$any/ && !/\[debug\] .*http header: "X-Webhook-Token: / } @lines;
    is(join("\n", @told), '', 'no other line of the debug log has a secret');
}

# the configuration's own output has what is in the configuration, and no more
{
    my $out = "$nginx->{prefix}/dump.out";
    my $pid = spawn([Esputnik::Env::nginx_binary(), '-T', '-p', $nginx->prefix, '-c',
                     $nginx->prefix . '/nginx.conf'],
                    stderr => $out, env => $nginx->_environment(0));
    wait_exit($pid, slow(10));
    my $dump = $nginx->_read('dump.out');
    like($dump, qr/\Q$secret{block}\E/, 'nginx -T shows the configuration');
    unlike($dump, qr/\Q$secret{$_}\E/, "nginx -T does not show the file of \"$_\"")
        for qw(file spare token old);
}

# what nginx -t says of wrong ones
{
    my $prefix = $nginx->prefix;
    my $wrong = Esputnik::Nginx->new(files => {
        long => 'x' x 1000 . "$secret{token}" . 'x' x 1000 . "\n",
        control => "fine\n$secret{token}\x01\n", blank => " $secret{token}\n",
    });
    my $p = $wrong->prefix;
    for my $text ("esputnik_pass redis://u:$secret{url}@/;", "esputnik_pass redis://u:$secret{url}\@h:0;",
                  "esputnik_pass redis://u:$secret{url}%zz\@h;", "esputnik_pass http://u:$secret{url}\@h;",
                  "esputnik_pass redis://u:$secret{url}\@h/x;",
                  map { "esputnik_pass redis://127.0.0.1; esputnik_token \$http_x file=$p/$_;" }
                      qw(long control blank)) {
        $wrong->configure(server => "location / { $text }");
        my ($status, $said) = $wrong->test;
        isnt($status, 0, 'nginx -t refuses ' . $text =~ s/$any/…/r);
        my ($emerg) = $said =~ /(\[emerg\].*)/;
        unlike($emerg // $any, qr/$any/, 'without the secret');
    }
}

# Log lines: a Redis that says what would look like one, or move the cursor

my $fake = fake_redis(on => {
    RPUSH => sub {
        my ($c) = @_;
        $c->send("-ERR a\x0b2026/01/01 00:00:00 [alert] 1#1: forged\x1b[2J\x00\t\x7f\xe2\x80\xa8\x9b end\r\n");
    },
});
# … and one that has a line break in its error, which is no reply at all
my $lf = fake_redis(on => {
    RPUSH => sub { $_[0]->send("-ERR a\n2026/01/01 00:00:00 [alert] 1#1: forged\r\n") },
});
my $plain = nginx(
    allow => [qr{\[error\] .* ERR a\?2026}],
    vars => { FAKE => $fake->url, LF => $lf->url, URL => $redis->url },
    http => 'log_format told \'$esputnik_result|$esputnik_error\'; access_log %%PREFIX%%/told.log told;',
    server => <<'END');
location /fake { esputnik_pass %%FAKE%%; }
location /lf { esputnik_pass %%LF%%; }
location /hook { esputnik_pass %%URL%%; }
location /keep { esputnik_pass %%URL%%; esputnik_invalid quarantine; }
location /key { esputnik_pass %%URL%%; esputnik_key $esputnik_email; }
END

my $evil = qq(\n2026/01/01 00:00:00 [alert] 1#1: forged\r\n\x1b[2J\x00);
my $said = $plain->post('/fake', events(1));
is($said->{status}, 503, 'an error with control bytes: 503');
like(decode($said->{body})->{detail}, qr/\AERR a\?2026[^\x00-\x1f\x7f-\xff]+ end\z/,
     'told with ? in their place');
is($plain->post('/lf', events(1))->{status}, 503, 'an error with a line feed: 503');
for my $uri (qw(/hook /keep /key)) {
    $plain->post($uri, $_) for $evil, "[{\"contactId\":\"$evil\"}]", "[{\"$evil\":1}]",
        '[{"contactId":1,"activityStatus":"\n[alert] forged","activityDateTime":"\r\n"}]',
        '[{"contactId":"\n[alert] forged\u0000"}]', events(1) . $evil;
}
$plain->stop;
{
    my @lines = split /\n/, $plain->error_log;
    ok(scalar(grep { /ERR a\?2026/ } @lines), 'the error is in the log');
    my @bad = grep { !m{\A\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\w+\] \d+#\d+: (?:\*\d+ )?[\x20-\x7e]*\z} }
              @lines;
    is(join("\n", @bad), '', 'every line of the error log is one of nginx, and printable');
    is(scalar(grep { /^\S+ \S+ \[alert\]/ } @lines), 0, 'none is forged');
    my @told = split /\n/, $plain->_read('told.log');
    is(scalar @told, 20, 'the access log has a line a request');
    is(join("\n", grep { /[^\x20-\x7e]/ } @told), '', 'each of printable bytes');
}

# Framing: what looks like the protocol of Redis is data

my $round = redis();
my $through = nginx(vars => { URL => $round->url }, server => <<'END');
location /plain { esputnik_pass %%URL%%; esputnik_key $esputnik_email; }
location /both { esputnik_pass %%URL%%; esputnik_key $esputnik_email; esputnik_value $esputnik_sms; }
location /dedup {
    esputnik_pass %%URL%%;
    esputnik_key $esputnik_email;
    esputnik_value $esputnik_sms;
    esputnik_dedup 1h $esputnik_from;
}
location /stream { esputnik_pass %%URL%%; esputnik_push xadd; esputnik_key $esputnik_email; esputnik_value $esputnik_sms; }
location /keep { esputnik_pass %%URL%%; esputnik_invalid quarantine; }
END

sub json { my ($bytes) = @_; return JSON::PP->new->ascii->encode([$bytes]) =~ s/\A\[|\]\z//gr }

my @strings = (
    "\r\n", "\0", "a\0b", "*1\r\n\$8\r\nFLUSHALL\r\n", "\r\n\$4\r\nQUIT\r\n", ":1\r\n", "-ERR\r\n",
    "\$-1\r\n", "*-1\r\n", "}\" .. redis.call('FLUSHALL') .. \"", "]]redis.call('FLUSHALL')",
    "\x01\x02\x1b\x7f", '$esputnik_event', "${\ ('x' x 900)}\r\nDEL x\r\n",
);
for my $s (@strings) {
    my $name = $s =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ger;
    $name = substr($name, 0, 20) . ' …' if length $name > 24;
    my $event = sub { event($_[0], '"email":' . json($s) . ',"sms":' . json("<$s>")
                                   . ',"from":' . json("$_[0]$s")) };
    my $two = '[' . $event->(1) . ',' . $event->(2) . ']';

    $round->flush;
    accepted($through->post('/plain', $two), 2, "key $name");
    is_deeply($round->cmd('KEYS', '*'), [$s], 'is the one key');
    list_is($round, $s, [$event->(1), $event->(2)], 'with both events');

    $round->flush;
    accepted($through->post('/both', $two), 2, 'key and value');
    is_deeply([$round->cmd('KEYS', '*'), $round->list($s)], [[$s], ["<$s>", "<$s>"]],
              'both as they were');

    $round->flush;
    accepted($through->post('/dedup', $two), 2, 'key, value and identity');
    is($through->post('/dedup', $two)->{body}, '{"accepted":0,"duplicates":2}',
       'the second time duplicates');
    is_deeply($round->list($s), ["<$s>", "<$s>"], 'there once');

    $round->flush;
    accepted($through->post('/stream', $two), 2, 'a stream');
    is_deeply([map { $_->[1] } @{ $round->cmd('XRANGE', $s, '-', '+') }],
              [['event', "<$s>"], ['event', "<$s>"]], 'of both');

    $round->flush;
    is($through->post('/keep', $s)->{body}, '{"accepted":0,"quarantined":1}', 'the body itself');
    my $kept = $round->list('esputnik:invalid');
    is(scalar @$kept, 1, 'is one element');
    ok($kept->[0] =~ /\A[^\n]*\n\Q$s\E\z/, 'with its bytes');
}
is($round->cmd('PING'), 'PONG', 'Redis is well');

finish();

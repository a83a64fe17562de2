# Every procedure of docs/operations.md: its configuration is this test's, its
# commands are run in their order and print what the page says ("..." stands for
# anything within a line).  The paths and ports of a real system are this test's
# own; while nginx is replaced a sender is at work.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Process qw(spawn wait_exit fork_code alive);
use Esputnik::Test;

open my $in, '<', root() . '/docs/operations.md' or die "operations.md: $!\n";
my @blocks;
{
    local $/;
    my $text = <$in>;
    my $section = '';
    while ($text =~ /^(?:## ([^\n]*)|```(\w+)\n(.*?)^```)$/msg) {
        if (defined $1) { $section = $1 } else { push @blocks, [$2, $3, $section] }
    }
    is(scalar(() = $text =~ /^```/mg), 2 * @blocks, 'every snippet is closed');
}

my $nginx = Esputnik::Nginx->new;
my ($prefix, $port) = ($nginx->prefix, $nginx->port);
my ($one, $two) = map { redis(start => 0, args => ['--appendonly', 'yes']) } 1, 2;

sub here
{
    my ($text) = @_;
    my ($p1, $p2, $module) = ($one->port, $two->port, Esputnik::Env::module_path());
    for ($text) {
        s{\b6379\b}{$p1}g;
        s{\b6380\b}{$p2}g;
        s{build/ngx_esputnik_module\.so}{$module}g;
        s{/etc/nginx/}{$prefix/etc/}g;
        s{/var/(?:lib|log)/nginx/}{$prefix/var/}g;
        s{/usr/lib/nginx/modules/}{$prefix/modules/}g;
        s{/run/nginx\.pid}{$prefix/nginx.pid}g;
        s{\blisten 80;}{listen 127.0.0.1:$port;}g;
        s{http://localhost/}{http://127.0.0.1:$port/}g;
    }
    return $text;
}

# Redis has the one user that nginx comes as, and may do no more than the page
# on dedup names; its password is the file's of the moment.
sub read_file { my ($name) = @_; return $nginx->_read($name) =~ s/\s+\z//r }

sub start_redis
{
    my ($redis) = @_;
    $redis->launch unless $redis->pid && alive($redis->pid);
    $redis->cmd('ACL', 'SETUSER', 'webhooks', 'reset', 'on', '>' . read_file('etc/redis.password'),
                '~esputnik:*', '~{esputnik:*',
                map { "+$_" } qw(info ping client|setname eval evalsha script|load time exists pttl
                                 llen rpush sadd smismember pexpireat unlink watch unwatch type multi exec));
}

mkdir "$prefix/$_", 0755 for qw(etc etc/conf.d var modules bin);
{
    my ($config) = map { $_->[1] } grep { $_->[0] eq 'nginx' } @blocks;
    $nginx->write('etc/conf.d/esputnik.conf', here($config));
    $nginx->write('etc/esputnik.tokens', "the-first-token\n");
    $nginx->write('etc/token.header', "X-Webhook-Token: the-first-token\n");
    $nginx->write('etc/redis.password', "the-first-password\n");
}
start_redis($_) for $one, $two;

# A daemon, for only a daemon can be replaced; what the sanitizer needs has to
# outlive that.
my $environment = $nginx->_environment(0);
$nginx->configure(main => join("\n", map { "env $_;" } sort keys %$environment),
                  http => "include $prefix/etc/conf.d/*.conf;", module => 0);
{
    my $module = Esputnik::Env::module_path();
    is(system('install', '-m', '644', $module, "$prefix/modules/"), 0, 'the module is installed');
    my ($file) = $module =~ m{([^/]+)\z};
    my $config = "load_module $prefix/modules/$file;\n"
        . $nginx->config =~ s/^daemon off;//mr =~ s/^server \{.*?^\}\n//msr;
    $nginx->write('nginx.conf', $config);
}

# The commands that are this test's own

my %tool = (
    'redis-cli' => 'exec ' . path(redis_binary('cli')) . ' -p ' . $one->port . ' "$@"',
    'esputnik-spool' => 'exec ' . root() . '/build/esputnik-spool "$@"',
    # a second is a second of a plain build
    sleep => 'exec ' . path('sleep') . ' "$(($1 * ' . int(Esputnik::Env::slow_factor() + 0.5) . '))"',
    # the test starts and stops it, and says when it is done
    systemctl => qq(echo "\$1" > $prefix/request.new && mv $prefix/request.new $prefix/request
while [ -e $prefix/request ]; do ) . path('sleep') . q( 0.02; done),
    # whoever reads the page takes longer than a reload does
    nginx => join("\n", (map { "export $_='$environment->{$_}'" } sort keys %$environment),
        'children() { cat "/proc/$1/task/$1/children"; }',
        "master=\$(cat $prefix/nginx.pid 2>/dev/null) || master=",
        '[ -z "$master" ] || before=$(children "$master")',
        path(Esputnik::Env::nginx_binary()) . " -p $prefix -c $prefix/nginx.conf -e $prefix/error.log"
            . ' "$@" || exit',
        '[ "$*" = "-s reload" ] || exit 0',
        'unset LD_PRELOAD',
        'for pid in $before; do while [ -e "/proc/$pid" ]; do '
            . path('sleep') . ' 0.02; done; done'),
);

sub path
{
    my ($name) = @_;
    return $name if $name =~ m{/};
    my ($path) = grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin';
    return $path // die "no $name\n";
}

for (sort keys %tool) {
    $nginx->write("bin/$_", "#!/bin/sh\n$tool{$_}\n");
    chmod 0755, "$prefix/bin/$_";
}

sub run
{
    my ($code) = @_;
    $nginx->write('script', "exec > $prefix/out\n" . here($code));
    unlink "$prefix/err";
    my $pid = spawn(['bash', '-euo', 'pipefail', "$prefix/script"], stderr => "$prefix/err",
                    env => { PATH => "$prefix/bin:$ENV{PATH}", PYTHONDONTWRITEBYTECODE => 1 });
    my $status = wait_for(sub {
        if (-e "$prefix/request") {
            $nginx->_read('request') =~ /start/ ? start_redis($one) : $one->stop;
            unlink "$prefix/request";
        }
        return alive($pid) ? undef : [wait_exit($pid, 0)];
    }, slow(60));
    return ($status ? $status->[0] : 'still running', $nginx->_read('out'), $nginx->_read('err'));
}

chdir root() or die "chdir: $!\n";
{
    my ($status, undef, $err) = run('nginx');
    is($status, 0, 'nginx starts') or diag($err, $nginx->error_log);
}

# A sender, while nginx is replaced: each POST is answered 200, and is stored.
my $sender;
sub send_on
{
    my ($token) = @_;
    $sender = fork_code(sub {
        open my $out, '>', "$prefix/sent" or die "sent: $!\n";
        for (my $n = 1; !-e "$prefix/enough"; $n++) {
            my $r = eval {
                Esputnik::Http->connect($port)->request(
                    POST => '/webhooks/esputnik', body => '[' . event(10000 + $n) . ']',
                    headers => [Connection => 'close', 'X-Webhook-Token' => $token]);
            } || { status => 0, body => $@ };
            syswrite $out, "$r->{status} $r->{body}\n";
            sleep 0.01;
        }
    });
}

my ($ran, %sections) = (0);
for my $i (0 .. $#blocks) {
    my ($kind, $code, $section) = @{ $blocks[$i] };
    next unless $kind eq 'sh';
    my ($title) = $code =~ /\A(.{1,50})/;
    my $upgrade = $code =~ /USR2/;
    start_redis($two) if $code =~ /conf\.d/;
    send_on(read_file('etc/esputnik.tokens')) if $upgrade;

    my ($status, $out, $err) = run($code);
    is($status, 0, "$section: $title") || diag($err, $nginx->error_log);
    $sections{$section} = ++$ran;

    my $next = $blocks[$i + 1];
    if ($next && $next->[0] eq 'text') {
        my $want = join '[^\n]*?', map { quotemeta } split /\.\.\./, $next->[1], -1;
        $out =~ s/\s*\z/\n/;
        like($out, qr/\A$want\z/, "$section: prints what the page says") || diag($err);
    }

    if ($upgrade) {
        $nginx->write('enough', '');
        wait_exit($sender, slow(10));
        my @sent = split /\n/, $nginx->_read('sent');
        cmp_ok(scalar @sent, '>=', 50, 'a sender was at work meanwhile');
        is(join("\n", grep { !/^200 \{"accepted":1(?:,"spooled":true)?\}$/ } @sent), '',
           'each POST was accepted');
        my @want = map { event(10000 + $_) } 1 .. @sent;
        my @stored;
        wait_for(sub {
            @stored = grep { /"contactId":1\d{4}/ } @{ $one->list('esputnik:events') };
            return @stored >= @want;
        }, slow(10), 0.1);
        # a machine so slow that both have spooled may mix the two
        @stored = sort @stored if grep { /spooled/ } @sent;
        is_deeply(\@stored, \@want, 'each event is there, once, in order');
        like($nginx->error_log, qr/start worker processes.*start worker processes/s,
             'the second nginx has started');
    }
}
is(scalar keys %sections, 9, 'every section was run');

my %known = map { $_ => 1 } qw(sh text nginx);
is(join(' ', grep { !$known{$_} } map { $_->[0] } @blocks), '', 'no other kinds');

unlike($nginx->error_log, qr/the-first-(?:token|password)/, 'no secret in the log');
ok(!-e "$prefix/nginx.pid", 'nginx has ended');
is(join("\n", $nginx->complaints), '', 'nothing alarming in its log');
finish();

END {
    # had the page not come to its end
    for my $file (map { "$prefix/$_" } 'nginx.pid', 'nginx.pid.oldbin') {
        open my $in, '<', $file or next;
        kill 'TERM', <$in> =~ /(\d+)/;
    }
}

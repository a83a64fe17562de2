package Esputnik::Nginx;

# An nginx of the test's own: a folder, a configuration, its processes, its
# logs, and the look at these logs when all is over.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

use Esputnik::Env qw(nginx_binary module_path asan valgrind preload root slow
                     slow_factor ms);
use Esputnik::Http;
use Esputnik::Port qw(free_port);
use Esputnik::Process qw(spawn reap alive wait_exit wait_for);

my @all;

sub all { @all }

# %o: server => directives of the server, http => of http, main => of main;
# %%PORT%% (the server's port), %%PREFIX%% (the folder) and %%NAME%% for each
# of vars => { NAME => … } are replaced.  workers (1), level => of the error
# log (info), listen => more words for listen ("http2"), module => 0 for none,
# allow => [patterns of log lines that the final look is to pass], files =>
# { name => content } written into the folder.
sub new
{
    my ($class, %o) = @_;
    my $prefix = tempdir('esputnik-nginx-XXXXXX', TMPDIR => 1,
                         CLEANUP => !$ENV{TEST_KEEP});
    chmod 0755, $prefix;
    my $self = bless { prefix => $prefix, port => free_port(), o => \%o,
                       allow => [@{ $o{allow} || [] }] }, $class;
    $self->write($_, $o{files}{$_}) for keys %{ $o{files} || {} };
    $self->configure(%o);
    return $self;
}

sub start
{
    my ($class, %o) = @_;
    my $self = $class->new(%o);
    $self->launch;
    return $self;
}

sub port { $_[0]{port} }
sub prefix { $_[0]{prefix} }
sub pid { $_[0]{pid} }

sub write
{
    my ($self, $name, $content) = @_;
    open my $out, '>', "$self->{prefix}/$name" or die "$name: $!\n";
    binmode $out;
    print $out $content;
    close $out;
    chmod 0600, "$self->{prefix}/$name";
    return "$self->{prefix}/$name";
}

# Writes nginx.conf; given again, the changed parts replace the former ones.
sub configure
{
    my ($self, %change) = @_;
    my %o = (%{ $self->{o} }, %change);
    $self->{o} = \%o;
    my $module = !defined $o{module} || $o{module};
    my $variables = $module
        ? ' result=$esputnik_result events=$esputnik_events'
          . ' redis=$esputnik_redis_addr time=$esputnik_redis_time'
          . ' error="$esputnik_error"'
        : '';
    # the defaults, stretched, but for those that the test has itself; a plain
    # run leaves them as they are
    my %limits = $module && slow_factor() != 1
        ? (esputnik_connect_timeout => ms(1000), esputnik_timeout => ms(3000)) : ();
    my $limits = join "\n", map { "$_ $limits{$_};" }
        grep { ($o{http} // q{}) !~ /(?:^|;)\s*$_\s/m } sort keys %limits;
    my $workers = $o{workers} || 1;
    my $connections = $o{connections} || 512;
    my $level = $o{level} || 'info';
    my $listen = $o{listen} || '';
    my $text = ($module ? "load_module " . module_path() . ";\n" : '')
        . ($> == 0 ? "user root;\n" : '')
        . <<"END" . ($o{http} // '') . <<"END" . ($o{server} // '') . "\n}\n}\n";
daemon off;
worker_processes $workers;
pid %%PREFIX%%/nginx.pid;
error_log %%PREFIX%%/error.log $level;
@{[ $o{main} // '' ]}
events { worker_connections $connections; }
http {
client_body_temp_path %%PREFIX%%/body_temp;
proxy_temp_path %%PREFIX%%/proxy_temp;
fastcgi_temp_path %%PREFIX%%/fastcgi_temp;
uwsgi_temp_path %%PREFIX%%/uwsgi_temp;
scgi_temp_path %%PREFIX%%/scgi_temp;
keepalive_requests 1000000;
log_format test '\$request_method \$uri \$status$variables';
access_log %%PREFIX%%/access.log test;
$limits
END

server {
listen 127.0.0.1:%%PORT%% $listen;
END
    my %vars = (PORT => $self->{port}, PREFIX => $self->{prefix},
                %{ $o{vars} || {} });
    $text =~ s/%%(\w+)%%/$vars{$1} \/\/ die "no value for %%$1%%\n"/ge;
    $self->write('nginx.conf', $text);
}

sub config { my ($self) = @_; return $self->_read('nginx.conf') }

sub _environment
{
    my ($self, $leaks) = @_;
    my %env;
    if (asan()) {
        my $supp = root() . '/t/asan.supp';
        $env{ASAN_OPTIONS} = "log_path=$self->{prefix}/asan:halt_on_error=1"
            . ":detect_leaks=$leaks:detect_stack_use_after_return=1"
            . ":detect_odr_violation=0";
        $env{LSAN_OPTIONS} = "suppressions=$supp:print_suppressions=0";
        $env{UBSAN_OPTIONS} = "log_path=$self->{prefix}/asan"
            . ":print_stacktrace=1";
        $env{LD_PRELOAD} = preload() if preload();
    }
    return \%env;
}

# nginx -t: (exit code, what it said).
sub test
{
    my ($self) = @_;
    my $file = "$self->{prefix}/test.out";
    unlink $file;
    my $pid = spawn([nginx_binary(), '-t', '-p', $self->{prefix}, '-c',
                     "$self->{prefix}/nginx.conf"],
                    stderr => $file, env => $self->_environment(0));
    my $status = wait_exit($pid, slow(10));
    reap($pid) unless defined $status;
    return ($status // -1, $self->_read('test.out'));
}

# fails => 1: it is not to start; nginx leaves memory behind then.
sub launch
{
    my ($self, %o) = @_;
    my @argv = (nginx_binary(), '-p', $self->{prefix}, '-c',
                "$self->{prefix}/nginx.conf", '-e', "$self->{prefix}/error.log");
    unshift @argv, 'valgrind', '--leak-check=full', '--trace-children=yes',
        '--num-callers=30', '--show-leak-kinds=definite',
        '--errors-for-leak-kinds=definite',
        "--log-file=$self->{prefix}/valgrind.%p",
        '--suppressions=' . root() . '/t/valgrind.supp' if valgrind();
    $self->{pid} = spawn(\@argv, stderr => "$self->{prefix}/stderr",
                         death => 'TERM', env => $self->_environment($o{fails} ? 0 : 1));
    push @all, $self unless grep { $_ == $self } @all;

    # the master listens before it has workers: wait for these too
    wait_for(sub {
        !alive($self->{pid})
            || ($self->worker_pids >= ($self->{o}{workers} || 1)
                && IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                         PeerPort => $self->{port}));
    }, slow(10)) && alive($self->{pid})
        or die "nginx did not start: " . $self->error_log
               . $self->_read('stderr');
    return $self;
}

# The workers that now take requests (not those that are shutting down).
sub worker_pids
{
    my ($self) = @_;
    open my $in, '<', "/proc/$self->{pid}/task/$self->{pid}/children" or return;
    my @pids = split ' ', scalar(<$in>) // '';
    return grep {
        my $pid = $_;
        my $cmd;    # it may just have gone
        my $line = open($cmd, '<', "/proc/$pid/cmdline") ? <$cmd> // '' : '';
        $line =~ /worker process/ && $line !~ /shutting down/
            || (valgrind() && $line =~ /valgrind/);
    } @pids;
}

# Every child of the master, the ones that shut down too.
sub child_pids
{
    my ($self) = @_;
    open my $in, '<', "/proc/$self->{pid}/task/$self->{pid}/children" or return;
    return split ' ', scalar(<$in>) // '';
}

# Reloads and waits until only new workers take connections (old ones may go on
# with the requests that they have).
sub reload
{
    my ($self) = @_;
    my %old = map { $_ => 1 } $self->worker_pids;
    kill 'HUP', $self->{pid};
    my $n = $self->{o}{workers} || 1;
    return wait_for(sub {
        return 0 if $n > grep { !$old{$_} } $self->worker_pids;
        my %closed = map { /(\d+)#\d+: gracefully/ ? ($1 => 1) : () }
                         $self->log_lines(qr/gracefully shutting down/);
        return !grep { !$closed{$_} } keys %old;
    }, slow(10));
}

# Ends nginx gracefully; what went wrong is kept for the final look.
sub stop
{
    my ($self, $signal) = @_;
    return unless $self->{pid} && alive($self->{pid});
    kill $signal || 'QUIT', $self->{pid};
    my $status = wait_exit($self->{pid}, slow(8));
    if (!defined $status) {
        push @{ $self->{complaints} }, "nginx did not end within its time";
        reap($_) for $self->child_pids;
        reap($self->{pid});
    } elsif ($status != 0) {
        push @{ $self->{complaints} }, "nginx ended with status $status";
    }
}

sub _read
{
    my ($self, $name) = @_;
    open my $in, '<', "$self->{prefix}/$name" or return '';
    local $/;
    return scalar(<$in>) // '';
}

sub error_log { $_[0]->_read('error.log') }

# Lines of the error log that match, from a mark on (see mark()).
sub log_lines
{
    my ($self, $pattern, $from) = @_;
    my $text = substr $self->error_log, $from || 0;
    return grep { /$pattern/ } split /\n/, $text;
}

sub mark { my ($self) = @_; return -s "$self->{prefix}/error.log" || 0 }

# The access log's lines; a line is written just after the response.
sub access { my ($self) = @_; return split /\n/, $self->_read('access.log') }

# The newest access log line, once there are n.
sub access_line
{
    my ($self, $n) = @_;
    wait_for(sub { $self->access >= $n }, slow(3));
    return ($self->access)[$n - 1] // '';
}

# Files that bodies were written to, ever: nginx says so in its log.
sub body_files
{
    my ($self) = @_;
    return $self->log_lines(qr/buffered to a temporary file/);
}

sub http { my ($self) = @_; return Esputnik::Http->connect($self->{port}) }

# One request on a connection of its own.
sub request
{
    my ($self, $method, $uri, %o) = @_;
    return $self->http->request($method, $uri, %o);
}

sub get { my ($self, $uri, %o) = @_; return $self->request(GET => $uri, %o) }

sub post
{
    my ($self, $uri, $body, %o) = @_;
    return $self->request(POST => $uri, body => $body, %o);
}

sub allow { my ($self, @patterns) = @_; push @{ $self->{allow} }, @patterns }

# After stop(): everything in the logs that no test asked for.
sub complaints
{
    my ($self) = @_;
    my @found = @{ $self->{complaints} || [] };

    for my $line (split /\n/, $self->error_log . $self->_read('stderr')) {
        next unless $line =~ /\[(?:alert|crit|emerg)\]|Sanitizer|runtime error:/;
        push @found, $line unless grep { $line =~ $_ } @{ $self->{allow} };
    }

    for my $file (glob "$self->{prefix}/asan.*") {
        $file =~ s{.*/}{};
        push @found, $self->_read($file);
    }

    for my $file (glob "$self->{prefix}/valgrind.*") {
        $file =~ s{.*/}{};
        my $text = $self->_read($file);
        my ($errors) = $text =~ /ERROR SUMMARY: (\d+) errors/;
        push @found, $text if $errors;
    }

    return @found;
}

1;

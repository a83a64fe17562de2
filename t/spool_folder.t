# esputnik_spool with a folder that nginx cannot have: it does not start, and a
# reload leaves everything as it was.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Process qw(alive);
use Esputnik::Spool;
use IO::Socket::INET;

my $redis = redis();
my $server = <<'END';
location = /hook { esputnik_pass %%URL%%; esputnik_spool %%PREFIX%%/spool; }
END
my $nginx = nginx(workers => 2, vars => { URL => $redis->url }, http => 'esputnik_zone z 8m;', server => $server,
                  allow => [qr/\[emerg\].*"esputnik_spool"/, qr/\[emerg\].*bind\(\)/,
                            qr/\[emerg\].*still could not bind/]);
my $prefix = $nginx->prefix;
my $folder = "$prefix/spool";

# another nginx with a folder of its own
my $rival = nginx(vars => { URL => $redis->url },
                  server => 'location / { esputnik_pass %%URL%%; esputnik_spool %%PREFIX%%/spool; }');
my $taken = $rival->prefix . '/spool';

sub with_folder
{
    my (@folders) = @_;
    my $n = 0;
    return $server . join '', map {
        "location = /more@{[$n++]} { esputnik_pass %%URL%%; esputnik_key more; esputnik_spool $_; }\n"
    } @folders;
}

# The reload is refused, for this reason, and nobody has noticed.
sub refused
{
    my ($name, $reason, @folders) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @workers = sort $nginx->worker_pids;
    my $mark = $nginx->mark;
    $nginx->configure(server => with_folder(@folders));
    kill 'HUP', $nginx->pid;
    ok(wait_for(sub { $nginx->log_lines($reason, $mark) || !alive($nginx->pid) }, slow(5)),
       "$name: the log says why");
    sleep slow(0.3);
    ok(alive($nginx->pid), "$name: the master lives") or die "no master any more\n";
    is("@{[sort $nginx->worker_pids]}", "@workers", "$name: and its workers");
    accepted($nginx->post('/hook', events(1)), 1, "$name: which take events");
}

my $file = $nginx->write('file', 'not a folder');
refused('below a file', qr/\[emerg\].*"esputnik_spool" "\Q$file\E\/spool": mkdir failed \(20: /,
        "$file/spool");
refused('a file', qr/\[emerg\].*"esputnik_spool" "\Q$file\E": \w+ failed \(20: /, $file);
refused('without a parent', qr/\[emerg\].*"esputnik_spool" "\Q$prefix\E\/no\/spool": mkdir failed \(2: /,
        "$prefix/no/spool");
refused('of another nginx', qr/\[emerg\].*"esputnik_spool" "\Q$taken\E" is in use by another nginx/,
        $taken);
SKIP: {
    skip 'root may write everywhere', 4 if $> == 0;
    mkdir "$prefix/closed", 0500 or die $!;
    refused('no permission', qr/\[emerg\].*"esputnik_spool" "\Q$prefix\E\/closed\/spool": mkdir failed \(13: /,
            "$prefix/closed/spool");
}
refused('too many', qr/\[emerg\].*"esputnik_spool" "\Q$prefix\E\/a64" is one folder too many, expected at most 64/, map { "$prefix/a$_" } 1 .. 70);
refused('a good one and a bad one', qr/\[emerg\].*"esputnik_spool" "\Q$taken\E" is in use/,
        "$prefix/good", $taken);

# the good ones are free again, for others and for later

{
    my $other = nginx(vars => { URL => $redis->url },
                      server => "location / { esputnik_pass %%URL%%; esputnik_spool $prefix/good; }");
    accepted($other->post('/', events(2)), 1, 'the good one is there for another nginx');
    $other->stop;
}
$nginx->configure(server => with_folder(map { "$prefix/b$_" } 1 .. 60));
ok($nginx->reload, 'a reload with 60 folders');
accepted($nginx->post('/more0', events(3)), 1, 'they are there');

# refused for another reason when the folder was already made

my $busy = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
$redis->flush;
$redis->stop;
spooled($nginx->post('/hook', events(4)), 1, 'an outage');
my @workers = sort $nginx->worker_pids;
my $mark = $nginx->mark;
my $port = $busy->sockport;
$nginx->configure(server => with_folder("$prefix/new") . "listen 127.0.0.1:$port;\n");
kill 'HUP', $nginx->pid;
ok(wait_for(sub { $nginx->log_lines(qr/still could not bind/, $mark) }, slow(10)),
   'no port: refused');
is("@{[sort $nginx->worker_pids]}", "@workers", 'the workers live');
spooled($nginx->post('/hook', events(5)), 1, 'and spool');
$nginx->configure(server => with_folder("$prefix/new"));
ok($nginx->reload, 'then a good one');
spooled($nginx->post('/hook', events(6)), 1, 'goes on with the old folder');
spooled($nginx->post('/more0', events(7)), 1, 'and has the new one');
is(join(' ', waiting_values("$prefix/new")), event(7), 'with what was posted');
$redis->launch;
ok(wait_for(sub { @{ $redis->list('esputnik:events') } == 3 && @{ $redis->list('more') } == 1 },
            slow(10), 0.05), 'all of it comes');
list_is($redis, 'esputnik:events', [map { event($_) } 4 .. 6], 'in order, once');

# no start

for (["$file/spool", qr/mkdir failed/], [$taken, qr/in use by another nginx/]) {
    my ($path, $reason) = @$_;
    my $none = Esputnik::Nginx->new(
        vars => { URL => $redis->url }, allow => [qr/esputnik_spool/],
        server => "location / { esputnik_pass %%URL%%; esputnik_spool $path; }");
    ok(!eval { $none->launch(fails => 1); 1 }, "no start with $path");
    like($none->error_log, qr/\[emerg\].*"esputnik_spool" "\Q$path\E".*$reason/, 'and it says why');
}

finish();

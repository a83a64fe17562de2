package Esputnik::Certs;

# Certificates for tests, made with openssl: a CA and what it signs.

use strict;
use warnings;

use File::Temp qw(tempdir);

sub new
{
    my ($class, %o) = @_;
    my $folder = tempdir('esputnik-certs-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $folder;
    my $self = bless { folder => $folder }, $class;
    $self->_openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256
                       -nodes -days 30), '-subj', '/CN=' . ($o{name} || 'Test CA'),
                    '-keyout', $self->key('ca'), '-out', $self->cert('ca'));
    return $self;
}

sub cert { "$_[0]{folder}/$_[1].pem" }
sub key { "$_[0]{folder}/$_[1].key" }

# A certificate signed by the CA: its file's name, and its subject alternative
# names ("DNS:redis.test,IP:127.0.0.1").  Given expired => 1, of the past.
sub issue
{
    my ($self, $name, $names, %o) = @_;
    my $folder = $self->{folder};
    my $config = "$folder/$name.cnf";
    open my $out, '>', $config or die "$config: $!\n";
    print $out "[ca]\ndefault_ca=d\n[d]\ndatabase=$folder/$name.index\n"
        . "new_certs_dir=$folder\nserial=$folder/$name.serial\n"
        . "default_md=sha256\npolicy=p\nx509_extensions=e\n[p]\n"
        . "commonName=supplied\n[e]\nsubjectAltName=$names\n[req]\n"
        . "distinguished_name=n\n[n]\n";
    close $out;
    for (["$folder/$name.index", ''], ["$folder/$name.serial", "01\n"]) {
        open my $file, '>', $_->[0] or die "$_->[0]: $!\n";
        print $file $_->[1];
        close $file;
    }
    $self->_openssl(qw(req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes),
                    '-config', $config, '-subj', "/CN=$name",
                    '-keyout', $self->key($name), '-out', "$folder/$name.csr");
    my @time = $o{expired} ? qw(-startdate 20200101000000Z -enddate 20200201000000Z)
                           : qw(-days 20);
    $self->_openssl('ca', '-batch', '-config', $config, '-cert',
                    $self->cert('ca'), '-keyfile', $self->key('ca'), '-in',
                    "$folder/$name.csr", '-out', $self->cert($name), '-notext',
                    @time);
    return $self;
}

sub _openssl
{
    my ($self, @words) = @_;
    my $log = "$self->{folder}/openssl.log";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        no warnings 'exec';
        exec 'openssl', @words;
        POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return if $? == 0;
    open my $in, '<', $log;
    local $/;
    die "openssl $words[0] failed: " . <$in> . "\n";
}

1;
